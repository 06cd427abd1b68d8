//! `Server`: a real S3 server in a process of its own.

use std::{
    env,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    thread,
};

/// The bucket that there is.
pub(crate) const BUCKET: &str = "bucket";

/// A server that runs until it is dropped.
pub(crate) struct Server {
    process: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts the server at `CAIRN_S3_SERVER`, with an empty bucket; `None` if nobody has installed one.
    pub(crate) fn start() -> Option<Self> {
        let Some(program) = env::var_os("CAIRN_S3_SERVER") else {
            eprintln!("SKIPPED: no S3 server is here; `cargo xtask object-store` installs it");
            return None;
        };
        let mut process = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", "0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(process.stderr.take().unwrap());
        let mut line = String::new();
        let address = loop {
            line.clear();
            assert!(said.read_line(&mut line).unwrap() > 0, "the server has ended");
            if let Some((_, address)) = line.trim().split_once("Running on http://") {
                break address.parse().unwrap();
            }
        };
        // What it goes on to say must not fill the pipe.
        let drain = move || drop(std::io::copy(&mut said, &mut std::io::sink()));
        thread::Builder::new().spawn(drain).unwrap();
        let server = Self { process, address };
        let made = server.plain(&format!("PUT /{BUCKET}"));
        assert!(made.contains(" 200 "), "{made}");
        Some(server)
    }

    /// A request without a body and without credentials, and all of the answer.
    fn plain(&self, what: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let host = self.address;
        let request = format!(
            "{what} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
