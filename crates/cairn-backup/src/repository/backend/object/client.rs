//! `Client`: the library's client of a service, told to send each request once: what comes then is decided here.

use std::{sync::Arc, time::Duration};

use object_store::{
    ClientConfigKey, ObjectStore, Result, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut},
    azure::{AzureConfigKey, MicrosoftAzureBuilder},
    gcp::{GoogleCloudStorageBuilder, GoogleConfigKey},
    list::PaginatedListStore,
};

use super::{
    options::ObjectOptions,
    trouble::Watching,
    url::{Service, Url},
};

/// A service, and what lists its objects page by page.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) store: Arc<dyn ObjectStore>,
    /// `None`: it is asked for all at once.
    pub(super) pages: Option<Arc<dyn PaginatedListStore>>,
}

impl Client {
    /// The service of a URL.
    pub(super) fn connect(url: &Url, options: &ObjectOptions) -> Result<Self> {
        // A time-out of the library would be one for all lengths: there are others around each request.
        const NONE: &str = "1day";
        let once =
            RetryConfig { max_retries: 0, retry_timeout: Duration::ZERO, ..RetryConfig::default() };
        let settings = &options.settings;
        match url.service {
            Service::S3 => {
                let mut builder = AmazonS3Builder::from_env();
                for (key, value) in settings {
                    builder = builder.with_config(key.parse()?, value);
                }
                builder
                    .with_bucket_name(&url.bucket)
                    .with_config(AmazonS3ConfigKey::Client(ClientConfigKey::Timeout), NONE)
                    .with_conditional_put(S3ConditionalPut::ETagMatch)
                    .with_retry(once)
                    .with_http_connector(Watching)
                    .build()
                    .map(Self::paged)
            }
            Service::Google => {
                let mut builder = GoogleCloudStorageBuilder::from_env();
                for (key, value) in settings {
                    builder = builder.with_config(key.parse()?, value);
                }
                builder
                    .with_bucket_name(&url.bucket)
                    .with_config(GoogleConfigKey::Client(ClientConfigKey::Timeout), NONE)
                    .with_retry(once)
                    .with_http_connector(Watching)
                    .build()
                    .map(Self::paged)
            }
            Service::Azure => {
                let mut builder = MicrosoftAzureBuilder::from_env();
                for (key, value) in settings {
                    builder = builder.with_config(key.parse()?, value);
                }
                builder
                    .with_container_name(&url.bucket)
                    .with_config(AzureConfigKey::Client(ClientConfigKey::Timeout), NONE)
                    .with_retry(once)
                    .with_http_connector(Watching)
                    .build()
                    .map(Self::paged)
            }
        }
    }

    fn paged(store: impl ObjectStore + PaginatedListStore) -> Self {
        let store = Arc::new(store);
        Self { pages: Some(Arc::clone(&store) as _), store }
    }
}
