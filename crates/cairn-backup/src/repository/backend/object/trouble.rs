//! `Trouble`: why a request was not answered as it should be, and whether to send it again.
//!
//! The errors of the client library do not tell the status of an answer, so [`Watched`] looks at each answer on its way
//! and leaves it with the task whose request it is.

use std::{cell::Cell, error::Error, fmt, pin::Pin, time::Duration};

use object_store::{
    ClientOptions, Error as StoreError,
    client::{
        HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService,
        ReqwestConnector,
    },
};

use crate::repository::backend::BackendError;

tokio::task_local! {
    static SEEN: Cell<Seen>;
}

/// What was seen of the last answer.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    status: Option<u16>,
    /// How long the service asks to be left alone.
    after: Option<Duration>,
}

/// The longest that a service is left alone because it asks for it.
const MOST: Duration = Duration::from_secs(60);
/// Of what a service says, so many characters are passed on.
const SAID: usize = 300;

/// Makes clients that are watched.
#[derive(Debug)]
pub(super) struct Watching;

impl HttpConnector for Watching {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Watched(ReqwestConnector::default().connect(options)?)))
    }
}

/// A client whose answers are looked at.
#[derive(Debug)]
struct Watched(HttpClient);

impl HttpService for Watched {
    fn call<'a, 'b>(
        &'a self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            let answer = self.0.execute(request).await;
            let seen = answer.as_ref().map_or(Seen::default(), |answer| {
                let after = answer.headers().get("retry-after");
                let seconds = after.and_then(|after| after.to_str().ok()?.trim().parse().ok());
                let after = seconds.map(|seconds| Duration::from_secs(seconds).min(MOST));
                Seen { status: Some(answer.status().as_u16()), after }
            });
            // Who asks for something outside of a request of ours has nothing to learn.
            SEEN.try_with(|cell| cell.set(seen)).unwrap_or_default();
            answer
        })
    }
}

/// What kind of trouble it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// There is no such object, or no such bucket.
    Missing,
    /// There is an object of that name.
    Exists,
    /// Others were busy with the same name: nothing has happened, and it may be tried again.
    Conflict,
    /// There is no such range in the object.
    Range,
    /// It may pass; what was asked for may have happened all the same.
    Passing,
    /// It will not pass.
    Refused,
}

/// A request that has failed.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) kind: Kind,
    /// How long the service asks to be left alone.
    pub(super) pause: Option<Duration>,
    /// How often it was tried.
    tries: u32,
    /// Whether a service has answered.
    pub(super) answered: bool,
    status: Option<u16>,
    error: Box<dyn Error + Send + Sync>,
}

/// Nothing came in time.
#[derive(Debug, thiserror::Error)]
#[error("there was no answer within {0:?}")]
struct TooSlow(Duration);

/// The service contradicts itself.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Contradiction(String);

/// Runs a request.
pub(super) async fn attempt<T>(
    request: impl Future<Output = object_store::Result<T>>,
) -> Result<T, Trouble> {
    let watched = async {
        let result = request.await;
        result.map_err(|error| Trouble::new(error, SEEN.with(Cell::get)))
    };
    SEEN.scope(Cell::default(), watched).await
}

/// Gives something only so much time.
pub(super) async fn within<T>(
    time: Duration,
    request: impl Future<Output = object_store::Result<T>>,
) -> object_store::Result<T> {
    let too_slow = |_| Err(StoreError::Generic { store: "time", source: Box::new(TooSlow(time)) });
    tokio::time::timeout(time, request).await.unwrap_or_else(too_slow)
}

/// Whether it was the network that failed, and not the service.
fn is_cut_short(error: &StoreError) -> bool {
    let mut cause = error.source();
    while let Some(this) = cause {
        if this.is::<HttpError>() || this.is::<TooSlow>() {
            return true;
        }
        cause = this.source();
    }
    false
}

impl Trouble {
    fn new(error: StoreError, mut seen: Seen) -> Self {
        // S3 answers deletions with a list of what became of each: that is how it says no.
        if seen.status == Some(200) && error.to_string().contains("AccessDenied") {
            seen.status = Some(403);
        }
        let kind = match (&error, seen.status) {
            (StoreError::NotFound { .. }, _) => Kind::Missing,
            // The library takes both for "already there"; 409 is that of a name that somebody else is just deleting.
            (StoreError::AlreadyExists { .. }, Some(409)) => Kind::Conflict,
            (StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }, _) => Kind::Exists,
            // What begins as a refusal and does not come to its end is no answer.
            (StoreError::Generic { .. }, _) if is_cut_short(&error) => Kind::Passing,
            (StoreError::Generic { .. }, Some(416)) => Kind::Range,
            (StoreError::Generic { .. }, None | Some(200..=299 | 408 | 425 | 429)) => Kind::Passing,
            (StoreError::Generic { .. }, Some(500 | 502..=504 | 506..)) => Kind::Passing,
            _ => Kind::Refused,
        };
        let (pause, status) = (seen.after, seen.status);
        let answered = status.is_some();
        Self { kind, pause, tries: 1, answered, status, error: Box::new(error) }
    }

    /// A service has done something else than it said. It may pass.
    pub(super) fn contradiction(what: impl Into<String>) -> Self {
        let (kind, error) = (Kind::Passing, Box::new(Contradiction(what.into())));
        Self { kind, pause: None, tries: 1, answered: true, status: None, error }
    }

    /// The same trouble, with how often it came.
    pub(super) fn after(self, tries: u32) -> Self {
        Self { tries, ..self }
    }

    /// The same trouble, of which it is known that it stays.
    pub(super) fn stays(self) -> Self {
        Self { kind: Kind::Refused, ..self }
    }

    /// What a client library says.
    pub(super) fn of_library(error: StoreError) -> Self {
        Self { kind: Kind::Refused, ..Self::new(error, Seen::default()) }
    }

    /// What can be done about it.
    fn advice(&self) -> &'static str {
        match (self.kind, self.status) {
            (Kind::Missing, _) | (_, Some(404)) => {
                "make the bucket, or look at its name and its region"
            }
            (_, Some(401 | 403)) => {
                "look at the credentials: they must allow to list, read, create and delete objects there"
            }
            (_, Some(429 | 503)) => {
                "the service asks for fewer requests: do it again later, which goes on with what was stored"
            }
            (_, Some(300..=399)) => {
                "the bucket is elsewhere: set its region (AWS_REGION) or endpoint"
            }
            (Kind::Refused, Some(_)) => "see what the service says",
            (Kind::Refused, None) => {
                "look at the environment variables of the service, as the guide on object storage lists them"
            }
            _ => {
                "look at the network, the endpoint and the credentials, and do it again: it goes on with what was stored"
            }
        }
    }

    /// As an error that says what was being done, and with what.
    pub(super) fn into_error(self, doing: &str, object: &str) -> BackendError {
        let tries = match self.tries {
            1 => String::new(),
            tries => format!(" ({tries} tries)"),
        };
        let what = format!("cannot {doing} {object}: {self}{tries}; {}", self.advice());
        BackendError::Failed { what, source: self.error }
    }
}

/// The innermost cause, on one line.
impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cause: &dyn Error = &*self.error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        let text = cause.to_string();
        let words: Vec<_> = text.split_whitespace().collect();
        let line = words.join(" ");
        match line.char_indices().nth(SAID) {
            Some((end, _)) => write!(f, "{}…", &line[..end]),
            None => f.write_str(&line),
        }
    }
}
