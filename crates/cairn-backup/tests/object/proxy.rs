//! `Proxy`: the network between a repository and its object store, as bad as a rule makes it.
//!
//! The rule is asked for each request, with how often one of the same kind and path came before; so what happens to a
//! request depends on no clock and on no order of threads.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use cairn_io::{RealWorld, World as _};
use cairn_log::Digest;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fate {
    Good,
    /// It is carried out, and the connection ends before an answer.
    LostAnswer,
    /// It is carried out, and the answer comes after this many milliseconds.
    LateAnswer(u64),
    /// It is carried out, and half of the answer comes.
    TornAnswer,
    /// It is carried out, and all of the answer comes but its last byte.
    ShortAnswer,
    /// Half of it gets to the server.
    TornRequest,
    /// Nobody takes the connection further.
    Refused,
    /// The server is not asked, and this is the answer.
    Status(u16),
    /// As `Status(503)`, with a request to wait for a second.
    SlowDown,
    /// The server is not asked, and the answer to a list of deletions is that the first is denied.
    Denied,
    /// The server is not told of the condition.
    NoCondition,
}

/// What a rule is told of a request.
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a str,
    /// With what comes behind the `?`.
    pub(crate) path: &'a str,
    /// How often the same was asked for before.
    pub(crate) before: u32,
}

type Rule = Box<dyn Fn(&Asked<'_>) -> Fate + Send>;

struct State {
    server: Option<SocketAddr>,
    rule: Mutex<Rule>,
    seen: Mutex<BTreeMap<String, u32>>,
    met: Mutex<BTreeMap<(String, Fate), u32>>,
    /// The server looks whether there is an object, and stores it after that: one at a time, as of a service whose
    /// conditional writes are atomic.
    storing: Mutex<()>,
}

/// A network of one connection after the other, each for one request.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

impl Proxy {
    /// A network that leads to a server, or nowhere.
    pub(crate) fn start(
        server: Option<SocketAddr>,
        rule: impl Fn(&Asked<'_>) -> Fate + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            server,
            rule: Mutex::new(Box::new(rule)),
            seen: Mutex::default(),
            met: Mutex::default(),
            storing: Mutex::default(),
        });
        let shared = Arc::clone(&state);
        let accept = move || {
            for client in listener.incoming() {
                let state = Arc::clone(&shared);
                let serve = move || drop(client.and_then(|client| state.serve(client)));
                drop(thread::Builder::new().spawn(serve));
            }
        };
        // It ends with the process of the test.
        thread::Builder::new().spawn(accept).unwrap();
        Self { address, state }
    }

    /// From now on it is as bad as another rule makes it.
    pub(crate) fn change(&self, rule: impl Fn(&Asked<'_>) -> Fate + Send + 'static) {
        *self.state.rule.lock().unwrap() = Box::new(rule);
        self.state.seen.lock().unwrap().clear();
    }

    /// How many requests with this method have met this fate.
    pub(crate) fn met(&self, method: &str, fate: Fate) -> u32 {
        self.state.met.lock().unwrap().get(&(method.into(), fate)).copied().unwrap_or(0)
    }

    /// How many requests of all kinds there were.
    pub(crate) fn requests(&self) -> u32 {
        self.state.met.lock().unwrap().values().sum()
    }

    /// What was met, for people.
    pub(crate) fn summary(&self) -> String {
        let met = self.state.met.lock().unwrap();
        let rows = met.iter().map(|((method, fate), times)| format!("{method} {fate:?}: {times}"));
        rows.collect::<Vec<_>>().join(", ")
    }
}

/// A network that is bad for about so many of a hundred requests, the first two times that each is asked.
pub(crate) fn flaky(seed: u64, percent: u64) -> impl Fn(&Asked<'_>) -> Fate + Send {
    move |asked| {
        let Asked { method, path, before } = asked;
        let digest = Digest::of(format!("{seed} {method} {path} {before}").as_bytes());
        let [fate, which, ..] = digest.0;
        if *before > 1 || u64::from(fate) * 100 / 256 >= percent {
            return Fate::Good;
        }
        [
            Fate::LostAnswer,
            Fate::LostAnswer,
            Fate::TornAnswer,
            Fate::ShortAnswer,
            Fate::TornRequest,
            Fate::Status(503),
            Fate::Refused,
            Fate::LateAnswer(20),
        ][usize::from(which % 8)]
    }
}

/// A request: all that comes before its body, and that.
struct Request {
    method: String,
    path: String,
    head: Vec<String>,
    body: Vec<u8>,
}

impl Request {
    fn read(client: &TcpStream) -> io::Result<Option<Self>> {
        let mut reader = BufReader::new(client);
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(None);
            }
            match line.trim_end() {
                "" => break,
                line => head.push(line.to_owned()),
            }
        }
        let mut words = head[0].split(' ').map(str::to_owned);
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let length = head.iter().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
        });
        let mut body = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut body)?;
        Ok(Some(Self { method, path, head, body }))
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head.join("\r\n").into_bytes();
        bytes.extend_from_slice(b"\r\n\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

impl State {
    fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        let Some(mut request) = Request::read(&client)? else { return Ok(()) };
        let fate = self.fate(&request);
        let answer = match fate {
            Fate::Refused => Vec::new(),
            Fate::Status(status) => answer(status, ""),
            Fate::SlowDown => answer(503, "Retry-After: 1\r\n"),
            Fate::Denied => denied(&String::from_utf8_lossy(&request.body)),
            Fate::TornRequest => {
                let bytes = request.bytes();
                drop(self.forward(&bytes[..bytes.len() / 2]));
                Vec::new()
            }
            Fate::NoCondition => {
                let is_condition = |line: &str| line.to_ascii_lowercase().starts_with("if-");
                request.head.retain(|line| !is_condition(line));
                self.ask(&request)?
            }
            _ => self.ask(&request)?,
        };
        let end = match fate {
            Fate::LostAnswer => 0,
            Fate::TornAnswer => answer.len() / 2,
            Fate::ShortAnswer => answer.len().saturating_sub(1),
            _ => answer.len(),
        };
        if let Fate::LateAnswer(time) = fate {
            RealWorld::new().pause(Duration::from_millis(time));
        }
        client.write_all(&answer[..end])?;
        client.shutdown(Shutdown::Both)
    }

    fn fate(&self, request: &Request) -> Fate {
        let Request { method, path, .. } = request;
        let mut seen = self.seen.lock().unwrap();
        let times = seen.entry(format!("{method} {path}")).or_default();
        let fate = (self.rule.lock().unwrap())(&Asked { method, path, before: *times });
        *times += 1;
        *self.met.lock().unwrap().entry((method.clone(), fate)).or_default() += 1;
        fate
    }

    /// The answer of the server.
    fn ask(&self, request: &Request) -> io::Result<Vec<u8>> {
        let _one = (request.method == "PUT").then(|| self.storing.lock().unwrap());
        self.forward(&request.bytes())
    }

    fn forward(&self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let Some(server) = self.server else { return Ok(Vec::new()) };
        let mut server = TcpStream::connect(server)?;
        server.write_all(bytes)?;
        server.shutdown(Shutdown::Write)?;
        let mut answer = Vec::new();
        server.read_to_end(&mut answer)?;
        Ok(answer)
    }
}

/// That of a list of deletions, the first of which is denied.
fn denied(asked: &str) -> Vec<u8> {
    let key = asked.split_once("<Key>").and_then(|(_, rest)| rest.split_once("</Key>"));
    let key = key.map_or("", |(key, _)| key);
    let body = format!(
        "<DeleteResult><Error><Key>{key}</Key><Code>AccessDenied</Code><Message>No</Message></Error></DeleteResult>"
    );
    whole(200, "", &body)
}

fn answer(status: u16, head: &str) -> Vec<u8> {
    let code = match status {
        503 => "SlowDown",
        403 => "AccessDenied",
        409 => "ConditionalRequestConflict",
        _ => "Other",
    };
    let body = format!("<Error><Code>{code}</Code><Message>as the test says</Message></Error>");
    whole(status, head, &body)
}

fn whole(status: u16, head: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} Some\r\n{head}Content-Type: application/xml\r\nContent-Length: {length}\r\nConnection: \
         close\r\n\r\n{body}"
    )
    .into_bytes()
}
