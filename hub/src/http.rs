//! Requests: the token's way, redirects, retries.
//!
//! Redirects are followed here and not by the client, because each hop decides anew whether it may see the token: the endpoint may,
//! the host of large files (signed addresses of another company) may not.

use std::io::{ErrorKind, Read};
use std::time::Duration;

use tlkit_core::{Error, Result};
use ureq::http::{HeaderMap, Uri};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

use crate::cache::seconds;
use crate::event::{Event, Listener};
use crate::settings::Settings;

/// More than any server in good faith sends in a row.
const REDIRECTS: usize = 10;

/// Speaks to the endpoint, and to where it sends for large files.
pub(crate) struct Client<'s> {
    agent: Agent,
    settings: &'s Settings,
    listener: &'s Listener,
    origin: String,
}

/// An answer. Its body is not read yet.
pub(crate) struct Answer {
    pub status: u16,
    headers: HeaderMap,
    body: Body,
}

impl Answer {
    /// A header, as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub fn number(&self, name: &str) -> Option<u64> {
        self.header(name)?.trim().parse().ok()
    }

    /// The body as a stream.
    pub fn reader(self) -> impl Read {
        self.body.into_with_config().limit(u64::MAX).reader()
    }

    /// The body as text, up to 64 MiB.
    pub fn text(self) -> std::result::Result<String, Failure> {
        let body = self.body.into_with_config().limit(64 << 20);
        body.read_to_string().map_err(Failure::of)
    }
}

/// Why there is no answer to work with.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// The server says no.
    Status {
        status: u16,
        /// `X-Error-Code`: `RepoNotFound`, `RevisionNotFound`, `GatedRepo`, ...
        code: String,
        /// `X-Error-Message`
        message: String,
        /// Seconds that the server asks to wait.
        wait: Option<u64>,
        /// Who said it.
        host: String,
    },
    /// No connection, or it broke.
    Network(String),
    /// Nobody that is trusted vouches for the host.
    Certificate(String),
    /// Ours to report as it is.
    Other(String),
}

impl Failure {
    fn of(error: ureq::Error) -> Failure {
        match error {
            ureq::Error::Io(e) if is_of_a_certificate(&e) => Failure::Certificate(e.to_string()),
            ureq::Error::Io(e) => Failure::Network(e.to_string()),
            ureq::Error::Timeout(what) => Failure::Network(format!("no answer in time ({what})")),
            ureq::Error::HostNotFound => Failure::Network("the host is not known".into()),
            ureq::Error::BadUri(uri) => Failure::Other(format!("`{uri}` is not an address")),
            e @ (ureq::Error::Tls(_) | ureq::Error::Rustls(_)) => {
                Failure::Certificate(e.to_string())
            }
            e => Failure::Network(e.to_string()),
        }
    }

    /// Whether it may go better the next time.
    pub fn passes(&self) -> bool {
        match self {
            Failure::Network(_) => true,
            Failure::Status { status, .. } => {
                matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
            }
            Failure::Certificate(_) | Failure::Other(_) => false,
        }
    }

    /// Whether the hub could not be asked at all, so that the cache may answer in its place.
    pub fn is_no_answer(&self) -> bool {
        self.passes() || matches!(self, Failure::Certificate(_))
    }
}

/// What TLS refuses comes as trouble of the connection; only the words tell a certificate from a record that was cut.
fn is_of_a_certificate(e: &std::io::Error) -> bool {
    let inner = e.get_ref().filter(|_| e.kind() == ErrorKind::InvalidData);
    inner.is_some_and(|inner| inner.to_string().contains("certificate"))
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Status {
                status,
                message,
                host,
                ..
            } => {
                write!(f, "{host} answers {status}")?;
                match message.as_str() {
                    "" => Ok(()),
                    said => write!(f, " ({said})"),
                }
            }
            Failure::Certificate(why) => write!(f, "the certificate is not trusted ({why})"),
            Failure::Network(why) | Failure::Other(why) => f.write_str(why),
        }
    }
}

impl<'s> Client<'s> {
    /// # Errors
    /// The endpoint is not an address; the file of certificates cannot be read.
    pub fn new(settings: &'s Settings, listener: &'s Listener) -> Result<Client<'s>> {
        let endpoint = &settings.endpoint;
        let uri = endpoint.parse::<Uri>().ok();
        let scheme = uri
            .as_ref()
            .and_then(|u| u.scheme_str().map(str::to_string));
        let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
        if !matches!(scheme.as_deref(), Some("http" | "https")) || host.is_empty() {
            return Err(Error::msg(format!(
                "HF_ENDPOINT is `{endpoint}`; an address like https://huggingface.co is wanted"
            )));
        }
        let patience = settings.patience;
        let mut config = Agent::config_builder()
            .user_agent(concat!("tlkit/", env!("CARGO_PKG_VERSION")))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(patience.connect))
            .timeout_recv_response(Some(patience.read))
            .timeout_per_read(Some(patience.read));
        // A proxy has no way to this machine's own loopback.
        if matches!(host, "localhost" | "127.0.0.1" | "[::1]") {
            config = config.proxy(None);
        }
        if let Some((_, path)) = &settings.certificates {
            let tls = TlsConfig::builder().root_certs(certificates(path)?).build();
            config = config.tls_config(tls);
        }
        Ok(Client {
            agent: config.build().new_agent(),
            settings,
            listener,
            origin: origin(endpoint),
        })
    }

    pub fn note(&self, text: &str) {
        (self.listener)(&Event::Note(text));
    }

    /// One request, through redirects. `from` asks for the rest of a file.
    fn once(&self, head: bool, address: &str, from: u64) -> std::result::Result<Answer, Failure> {
        let mut address = address.to_string();
        for _ in 0..REDIRECTS {
            let mut request = match head {
                true => self.agent.head(&address),
                false => self.agent.get(&address),
            };
            // Sizes and ranges count the bytes of the file, not of a packed form of it.
            request = request.header("Accept-Encoding", "identity");
            if let Some(token) = &self.settings.token
                && origin(&address) == self.origin
            {
                request = request.header("Authorization", &format!("Bearer {token}"));
            }
            if from > 0 {
                request = request.header("Range", &format!("bytes={from}-"));
            }
            let (parts, body) = request.call().map_err(Failure::of)?.into_parts();
            let answer = Answer {
                status: parts.status.as_u16(),
                headers: parts.headers,
                body,
            };
            let to = match answer.status {
                301 | 302 | 303 | 307 | 308 => answer.header("location"),
                _ => None,
            };
            let Some(to) = to.map(|to| joined(&address, to)) else {
                return self.judged(answer, &address);
            };
            // The file itself lies elsewhere, but this answer says which it is.
            if head && origin(&to) != origin(&address) {
                return Ok(answer);
            }
            if address.starts_with("https:") && !to.starts_with("https:") {
                return Err(Failure::Other(format!(
                    "{address} sends on to {to}, which anybody on the way could change"
                )));
            }
            address = to;
        }
        Err(Failure::Other(format!(
            "{} redirects in a row, the last to {address}",
            REDIRECTS
        )))
    }

    fn judged(&self, answer: Answer, address: &str) -> std::result::Result<Answer, Failure> {
        // 416: there is no rest of the file; the caller knows why.
        if (200..300).contains(&answer.status) || answer.status == 416 {
            return Ok(answer);
        }
        let text = |name: &str| answer.header(name).unwrap_or_default().to_string();
        Err(Failure::Status {
            status: answer.status,
            code: text("x-error-code"),
            message: text("x-error-message"),
            wait: answer
                .number("retry-after")
                .or_else(|| window(answer.header("ratelimit")?)),
            host: host(address).to_string(),
        })
    }

    /// One request.
    pub fn head(&self, address: &str) -> std::result::Result<Answer, Failure> {
        self.once(true, address, 0)
    }

    /// One request, for the bytes from `from` on.
    pub fn get(&self, address: &str, from: u64) -> std::result::Result<Answer, Failure> {
        self.once(false, address, from)
    }

    /// Tries again what may pass, with pauses that double, or as long as the server asks for. `attempt` says how it went, and
    /// whether it got further than the one before: then the counting begins anew.
    pub fn patiently<T>(
        &self,
        what: &str,
        mut attempt: impl FnMut() -> (bool, std::result::Result<T, Failure>),
    ) -> std::result::Result<T, Failure> {
        let patience = self.settings.patience;
        let mut tries = 0;
        loop {
            let (further, result) = attempt();
            let failure = match result {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            tries = if further { 1 } else { tries + 1 };
            if !failure.passes() || tries >= patience.attempts {
                return Err(failure);
            }
            let pause = match &failure {
                Failure::Status { wait: Some(s), .. } => Duration::from_secs(*s),
                _ => patience.pause * 2u32.saturating_pow(tries - 1).min(64),
            };
            if pause > patience.longest_pause {
                return Err(failure);
            }
            self.note(&format!("{what}: {failure}; again in {}", seconds(pause)));
            std::thread::sleep(pause);
        }
    }

    /// A JSON document of the API.
    pub fn json(&self, address: &str) -> std::result::Result<serde_json::Value, Failure> {
        let text = self.patiently(address, || {
            (false, self.get(address, 0).and_then(Answer::text))
        })?;
        serde_json::from_str(&text).map_err(|e| {
            Failure::Other(format!(
                "{address} did not answer with JSON ({e}); is HF_ENDPOINT right?"
            ))
        })
    }

    /// The same without patience, for what only makes an error clearer.
    pub fn glance(&self, address: &str) -> Option<serde_json::Value> {
        let text = self.get(address, 0).ok()?.text().ok()?;
        serde_json::from_str(&text).ok()
    }
}

fn certificates(path: &std::path::Path) -> Result<RootCerts> {
    let pem = std::fs::read(path).map_err(Error::io(path))?;
    let mut all = Vec::new();
    for item in parse_pem(&pem) {
        match item {
            Ok(PemItem::Certificate(certificate)) => all.push(certificate),
            Ok(_) => {}
            Err(e) => return Err(Error::msg(format!("{}: {e}", path.display()))),
        }
    }
    Ok(RootCerts::from(all))
}

/// `https://host:port` of an address, in lower case.
fn origin(address: &str) -> String {
    let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    format!("{scheme}://{authority}").to_lowercase()
}

/// The host of an address.
pub(crate) fn host(address: &str) -> &str {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or(rest)
}

/// Where a `Location` leads from an address.
fn joined(from: &str, to: &str) -> String {
    // Of an address of its own the scheme stands in front; a query may hold another's.
    let begins = to.split(['/', '?', '#']).next().unwrap_or(to);
    if begins.ends_with(':') && to[begins.len()..].starts_with("//") {
        return to.to_string();
    }
    let scheme = from.split_once("://").map_or("https", |(scheme, _)| scheme);
    if let Some(rest) = to.strip_prefix("//") {
        return format!("{scheme}://{rest}");
    }
    // Not `origin`: the case of what follows the host is its own.
    let start = format!("{scheme}://{}", host(from));
    if to.starts_with('/') {
        return format!("{start}{to}");
    }
    let path = from[start.len()..].split(['?', '#']).next().unwrap_or("");
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    format!("{start}{folder}/{to}")
}

/// Seconds until a new window of `RateLimit: "api";r=0;t=55`, when nothing is left of this one.
fn window(header: &str) -> Option<u64> {
    let number = |key: &str| {
        let mut parts = header.split(';').map(str::trim);
        parts.find_map(|p| p.strip_prefix(key)?.parse::<u64>().ok())
    };
    (number("r=") == Some(0)).then(|| number("t="))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        assert_eq!(origin("https://Hub.co/a?b#c"), "https://hub.co");
        assert_ne!(origin("https://hub.co:8443/"), origin("https://hub.co/"));
        assert_ne!(origin("http://hub.co/"), origin("https://hub.co/"));
        assert_ne!(
            origin("https://hub.co.evil.org/"),
            origin("https://hub.co/")
        );
        assert_ne!(
            origin("https://hub.co@evil.org/"),
            origin("https://hub.co/")
        );
    }

    #[test]
    fn locations_are_joined() {
        let from = "https://h:1/a/b/c?x=1";
        assert_eq!(joined(from, "http://o/d"), "http://o/d");
        assert_eq!(joined(from, "//o/d"), "https://o/d");
        assert_eq!(joined(from, "/d?y"), "https://h:1/d?y");
        assert_eq!(joined(from, "d"), "https://h:1/a/b/d");
        // Another address within a query is not where it leads.
        let to = "/d?next=https://o/e";
        assert_eq!(joined(from, to), format!("https://h:1{to}"));
        assert_eq!(joined(from, "HTTPS://o/d"), "HTTPS://o/d");
    }

    #[test]
    fn a_certificate_that_is_not_trusted_is_no_trouble_of_the_connection() {
        let of = |words: &'static str| {
            let e = std::io::Error::new(ErrorKind::InvalidData, words);
            Failure::of(ureq::Error::Io(e))
        };
        let untrusted = of("invalid peer certificate: UnknownIssuer");
        assert!(matches!(untrusted, Failure::Certificate(_)), "{untrusted}");
        assert!(!untrusted.passes() && untrusted.is_no_answer());
        assert!(of("received corrupt message of type Handshake").passes());
    }

    #[test]
    fn a_window_counts_when_it_is_used_up() {
        assert_eq!(window("\"api\";r=0;t=55"), Some(55));
        assert_eq!(window("\"api\";r=3;t=55"), None);
        assert_eq!(window("nonsense"), None);
    }
}
