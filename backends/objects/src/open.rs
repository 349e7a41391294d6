//! From a URL to an object store.

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use thiserror::Error;
use url::Url;

use crate::patience::Patience;

/// Where segments are to be kept.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// `s3://bucket/prefix` or `file:///directory`.
    pub url: String,
    /// Endpoint, region and keys by their usual names (`aws_endpoint`, `aws_access_key_id`, …). Names
    /// that mean nothing here are passed over: they are what the environment holds.
    pub options: Vec<(String, String)>,
    /// How long and how often it is asked.
    pub patience: Patience,
}

/// Why a place cannot be used at all.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The URL is none.
    #[error("{url:?} is not a URL")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        #[source]
        source: url::ParseError,
    },
    /// There is no store of that kind in this build.
    #[error("no object store for {scheme}:// in this build")]
    Scheme {
        /// The URL's scheme.
        scheme: String,
    },
    /// The store's settings contradict each other or are incomplete.
    #[error("the object store cannot be set up")]
    Store(#[source] object_store::Error),
    /// The operating system refused the threads that it needs, or the directory.
    #[error("the object store cannot be set up")]
    Io(#[source] std::io::Error),
}

pub(crate) fn open(place: &Place) -> Result<(Arc<dyn ObjectStore>, Path), OpenError> {
    let url = Url::parse(&place.url).map_err(|source| OpenError::Url {
        url: place.url.clone(),
        source,
    })?;
    match url.scheme() {
        "file" => directory(&url),
        #[cfg(feature = "s3")]
        "s3" => s3::open(&url, &place.options),
        other => Err(OpenError::Scheme {
            scheme: other.to_owned(),
        }),
    }
}

fn directory(url: &Url) -> Result<(Arc<dyn ObjectStore>, Path), OpenError> {
    let dir = url.to_file_path().map_err(|()| OpenError::Scheme {
        scheme: url.scheme().to_owned(),
    })?;
    std::fs::create_dir_all(&dir).map_err(OpenError::Io)?;
    let store = LocalFileSystem::new_with_prefix(dir).map_err(OpenError::Store)?;
    Ok((Arc::new(store.with_fsync(true)), Path::default()))
}

#[cfg(feature = "s3")]
mod s3 {
    use object_store::RetryConfig;
    use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};

    use super::{Arc, ObjectStore, OpenError, Path, Url};

    pub(super) fn open(
        url: &Url,
        options: &[(String, String)],
    ) -> Result<(Arc<dyn ObjectStore>, Path), OpenError> {
        // Nothing to do where the process has chosen one already.
        drop(rustls::crypto::ring::default_provider().install_default());
        // How often it is asked is ours to say, for every store alike.
        let asked_once = RetryConfig {
            max_retries: 0,
            ..RetryConfig::default()
        };
        let mut builder = AmazonS3Builder::new()
            .with_url(url.as_str())
            // One by one is what every store understands; segments go one by one anyhow.
            .with_config(AmazonS3ConfigKey::DisableBulkDelete, "true")
            .with_retry(asked_once);
        for (name, value) in options {
            let name = name.to_ascii_lowercase();
            let Ok(key) = name.parse::<AmazonS3ConfigKey>() else {
                continue;
            };
            builder = builder.with_config(key, value);
            let is_endpoint =
                key == AmazonS3ConfigKey::Endpoint || key == AmazonS3ConfigKey::S3Endpoint;
            // An endpoint without TLS is somebody's express choice.
            if is_endpoint && value.starts_with("http://") {
                builder = builder.with_allow_http(true);
            }
        }
        let store = builder.build().map_err(OpenError::Store)?;
        let path =
            Path::from_url_path(url.path()).map_err(|error| OpenError::Store(error.into()))?;
        Ok((Arc::new(store), path))
    }
}
