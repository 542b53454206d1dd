//! Where the hub is, where its files are kept, who asks: from the environment variables that huggingface_hub reads.

use std::path::PathBuf;
use std::time::Duration;

/// What decides how names of the hub are looked up.
#[derive(Clone)]
pub struct Settings {
    /// `https://huggingface.co`, without a slash at the end.
    pub endpoint: String,
    /// The folder of `models--owner--name` and `datasets--owner--name`.
    pub cache: PathBuf,
    /// Sent to the endpoint, and to nobody else.
    pub token: Option<String>,
    /// The variable that forbids the network, when one does: `HF_HUB_OFFLINE`.
    pub offline: Option<&'static str>,
    /// Whether bars may be shown (`HF_HUB_DISABLE_PROGRESS_BARS`).
    pub bars: bool,
    /// The variable that names a PEM file of certificates to trust instead of Mozilla's, and that file.
    pub certificates: Option<(&'static str, PathBuf)>,
    /// How patient to be.
    pub patience: Patience,
}

/// How long to wait, and how often to try.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a connection.
    pub connect: Duration,
    /// For the next byte.
    pub read: Duration,
    /// Requests in a row without a new byte, the first included.
    pub attempts: u32,
    /// Before the second of them; doubled each time.
    pub pause: Duration,
    /// The longest wait that a server may ask for (`Retry-After`) before it is an error.
    pub longest_pause: Duration,
    /// For a file that another process is downloading, counted from the last byte that it wrote.
    pub lock: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            connect: Duration::from_secs(10),
            read: Duration::from_secs(30),
            attempts: 5,
            pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(60),
            lock: Duration::from_secs(120),
        }
    }
}

impl std::fmt::Debug for Settings {
    /// Without the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("endpoint", &self.endpoint)
            .field("cache", &self.cache)
            .field("token", &self.token.as_ref().map(|_| "..."))
            .field("offline", &self.offline)
            .field("bars", &self.bars)
            .field("certificates", &self.certificates)
            .field("patience", &self.patience)
            .finish()
    }
}

impl Settings {
    /// From the environment.
    pub fn from_env() -> Self {
        Self::from(&|name| std::env::var(name).ok())
    }

    /// From variables by name. Those that are empty count as not set.
    pub fn from(variable: &dyn Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|v| !v.trim().is_empty());
        let on = |name: &str| {
            set(name)
                .is_some_and(|v| matches!(v.to_uppercase().as_str(), "1" | "ON" | "YES" | "TRUE"))
        };
        let seconds = |name: &str| Some(Duration::from_secs(set(name)?.parse().ok()?));
        let person = set("HOME").or_else(|| set("USERPROFILE"));
        let person = person.map_or_else(std::env::temp_dir, PathBuf::from);
        let path = |name: &str| {
            set(name).map(|text| match text.strip_prefix("~/") {
                Some(rest) => person.join(rest),
                None => PathBuf::from(text),
            })
        };
        let home = path("HF_HOME").unwrap_or_else(|| {
            let caches = path("XDG_CACHE_HOME").unwrap_or_else(|| person.join(".cache"));
            caches.join("huggingface")
        });
        let cache = path("HF_HUB_CACHE").or_else(|| path("HUGGINGFACE_HUB_CACHE"));
        let token_file = path("HF_TOKEN_PATH").unwrap_or_else(|| home.join("token"));
        let token = set("HF_TOKEN")
            .or_else(|| set("HUGGING_FACE_HUB_TOKEN"))
            .or_else(|| std::fs::read_to_string(token_file).ok());
        // Only what can stand in a header: a line break in it would be a second header.
        let token = token
            .map(|t| t.trim().to_string())
            .filter(|t| !t.is_empty() && t.chars().all(|c| c.is_ascii_graphic()));
        let offline = [
            "HF_HUB_OFFLINE",
            "TRANSFORMERS_OFFLINE",
            "HF_DATASETS_OFFLINE",
        ];
        let endpoint = set("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".into());
        let patience = Patience::default();
        Settings {
            endpoint: endpoint.trim().trim_end_matches('/').to_string(),
            cache: cache.unwrap_or_else(|| home.join("hub")),
            token: token.filter(|_| !on("HF_HUB_DISABLE_IMPLICIT_TOKEN")),
            offline: offline.into_iter().find(|name| on(name)),
            bars: !on("HF_HUB_DISABLE_PROGRESS_BARS"),
            certificates: ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"]
                .into_iter()
                .find_map(|name| Some((name, path(name)?))),
            patience: Patience {
                connect: seconds("HF_HUB_ETAG_TIMEOUT").unwrap_or(patience.connect),
                read: seconds("HF_HUB_DOWNLOAD_TIMEOUT").unwrap_or(patience.read),
                ..patience
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Settings {
        let home = [("HOME", "/home/ada")];
        Settings::from(&|name| {
            let mut all = pairs.iter().chain(&home);
            all.find(|(n, _)| *n == name).map(|(_, v)| v.to_string())
        })
    }

    #[test]
    fn the_cache_is_where_huggingface_hub_has_it() {
        let cache = |pairs: &[(&str, &str)]| of(pairs).cache.display().to_string();
        assert_eq!(cache(&[]), "/home/ada/.cache/huggingface/hub");
        assert_eq!(cache(&[("XDG_CACHE_HOME", "/x")]), "/x/huggingface/hub");
        assert_eq!(
            cache(&[("HF_HOME", "~/hf"), ("XDG_CACHE_HOME", "/x")]),
            "/home/ada/hf/hub"
        );
        assert_eq!(
            cache(&[("HUGGINGFACE_HUB_CACHE", "/old"), ("HF_HOME", "/h")]),
            "/old"
        );
        assert_eq!(
            cache(&[("HUGGINGFACE_HUB_CACHE", "/old"), ("HF_HUB_CACHE", "/new")]),
            "/new"
        );
    }

    #[test]
    fn the_token_comes_from_a_variable_or_a_file_and_is_never_printed() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("token");
        std::fs::write(&file, "hf_file\n").expect("written");
        let home = dir.path().display().to_string();
        let file = file.display().to_string();
        let token = |pairs: &[(&str, &str)]| of(pairs).token;
        assert_eq!(token(&[]), None);
        assert_eq!(token(&[("HF_HOME", &home)]), Some("hf_file".into()));
        assert_eq!(token(&[("HF_TOKEN_PATH", &file)]), Some("hf_file".into()));
        let both = [("HF_TOKEN", " hf_env "), ("HF_HOME", home.as_str())];
        assert_eq!(token(&both), Some("hf_env".into()));
        assert!(!format!("{:?}", of(&both)).contains("hf_env"));
        let off = [
            ("HF_TOKEN", "hf_env"),
            ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1"),
        ];
        assert_eq!(token(&off), None);
        assert_eq!(token(&[("HF_TOKEN", "a\r\nX-Other: b")]), None);
    }

    #[test]
    fn switches_and_numbers() {
        assert_eq!(of(&[]).offline, None);
        assert_eq!(of(&[("HF_HUB_OFFLINE", "0")]).offline, None);
        for name in [
            "HF_HUB_OFFLINE",
            "TRANSFORMERS_OFFLINE",
            "HF_DATASETS_OFFLINE",
        ] {
            assert_eq!(of(&[(name, "true")]).offline, Some(name));
        }
        assert!(of(&[]).bars && !of(&[("HF_HUB_DISABLE_PROGRESS_BARS", "1")]).bars);
        assert_eq!(of(&[("HF_ENDPOINT", "http://h:1/")]).endpoint, "http://h:1");
        assert_eq!(
            of(&[("HF_ENDPOINT", "")]).endpoint,
            "https://huggingface.co"
        );
        let both = of(&[("SSL_CERT_FILE", "/b"), ("REQUESTS_CA_BUNDLE", "/a")]);
        assert_eq!(both.certificates, Some(("REQUESTS_CA_BUNDLE", "/a".into())));
        assert_eq!(
            of(&[("HF_HUB_DOWNLOAD_TIMEOUT", "7")]).patience.read,
            Duration::from_secs(7)
        );
    }
}
