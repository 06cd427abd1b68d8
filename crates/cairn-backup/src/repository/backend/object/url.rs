//! `Url`: the name of a place in an object store, taken apart.

use std::fmt;

use object_store::path::Path;

/// Which service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    S3,
    Google,
    Azure,
}

/// A bucket, or what else a service calls it, and where in it the repository lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) service: Service,
    pub(super) bucket: String,
    /// What the names of all objects begin with; empty for the bucket itself.
    pub(super) prefix: Path,
}

impl Url {
    /// Takes `SCHEME://BUCKET/PREFIX` apart, or says what is wrong with it. Only what every service, every shell and
    /// `REPO@POINT` leave alone may be in a name.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("{text:?} is no URL of a repository: {why}");
        let (scheme, rest) = text.split_once("://").ok_or_else(|| wrong("it has no `://`"))?;
        let service = match scheme {
            "s3" => Service::S3,
            "gs" => Service::Google,
            "az" => Service::Azure,
            _ => return Err(wrong("it begins with none of s3://, gs:// and az://")),
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-_.=+".contains(c);
        let is_name = |name: &str| {
            !name.is_empty() && !matches!(name, "." | "..") && name.chars().all(is_allowed)
        };
        if !is_name(bucket) {
            return Err(wrong("behind `://` comes the name of a bucket"));
        }
        if !prefix.is_empty() && !prefix.split('/').all(is_name) {
            return Err(wrong(
                "behind the bucket come names with letters, digits, and -_.=+, and one `/` between them",
            ));
        }
        let prefix = Path::parse(prefix).map_err(|error| wrong(&error.to_string()))?;
        Ok(Self { service, bucket: bucket.into(), prefix })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.service {
            Service::S3 => "s3",
            Service::Google => "gs",
            Service::Azure => "az",
        };
        write!(f, "{scheme}://{}", self.bucket)?;
        if self.prefix.as_ref().is_empty() { Ok(()) } else { write!(f, "/{}", self.prefix) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_and_printed_with_one_spelling() {
        for (text, service, bucket, prefix, printed) in [
            ("s3://b", Service::S3, "b", "", "s3://b"),
            ("s3://b/", Service::S3, "b", "", "s3://b"),
            ("gs://my.bucket/x", Service::Google, "my.bucket", "x", "gs://my.bucket/x"),
            ("az://c/a/b-1_2/", Service::Azure, "c", "a/b-1_2", "az://c/a/b-1_2"),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!((url.service, &*url.bucket, url.prefix.as_ref()), (service, bucket, prefix));
            assert_eq!(url.to_string(), printed);
        }
    }

    #[test]
    fn what_some_service_or_shell_would_read_otherwise_is_refused() {
        for text in [
            "s3",
            "s3:/b",
            "http://b/c",
            "s3://",
            "s3:///p",
            "s3://../p",
            "s3://b//p",
            "s3://b/p//",
            "s3://b/../p",
            "s3://b/./p",
            "s3://b/p@3",
            "s3://key:secret@b/p",
            "s3://b/p?x=1",
            "s3://b/p#x",
            "s3://b/a b",
            "s3://b/a%2fb",
            "s3://b/~",
            "s3://b/ä",
        ] {
            let why = Url::parse(text).unwrap_err();
            assert!(why.contains(text), "{why}");
        }
    }
}
