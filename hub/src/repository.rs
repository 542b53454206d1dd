//! A repository: which commit a name stands for, which files there are, and what to say when it cannot be had.

use std::path::PathBuf;

use serde_json::Value;
use tlkit_core::recipe::nearest;
use tlkit_core::{Error, Result};

use crate::Hub;
use crate::cache::{Cache, Entry, Tree, seconds};
use crate::event::Event;
use crate::http::{Client, Failure, host};
use crate::name::{Kind, Name, is_commit};
use crate::settings::Patience;

/// One repository, as a name in a recipe asks for it.
pub(crate) struct Repository<'h> {
    hub: &'h Hub,
    pub name: Name,
    pub cache: Cache,
}

/// What a name stands for.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub commit: String,
    /// Its files: all of them, or those in the cache.
    pub tree: Tree,
    /// Whether `tree` is all of them.
    pub complete: bool,
    /// Why what is not in the cache cannot be had now.
    pub shut: Option<Shut>,
}

impl State {
    /// Whether nobody knows what else there is: only the cache could be looked at, and the hub will not be asked before the run either.
    pub fn is_guessed(&self) -> bool {
        let offline = |shut: &Shut| !matches!(shut, Shut::Looking);
        !self.complete && self.shut.as_ref().is_some_and(offline)
    }
}

/// Why nothing can be downloaded.
#[derive(Clone, Debug)]
pub(crate) enum Shut {
    /// This variable is set.
    Offline(&'static str),
    /// The hub does not answer, and the cache has an answer.
    Unreachable(String),
    /// This resolver does not download.
    Looking,
}

impl<'h> Repository<'h> {
    pub fn new(hub: &'h Hub, name: Name) -> Self {
        let cache = Cache::of(&hub.settings, &name);
        Repository { hub, name, cache }
    }

    pub fn client(&self) -> Result<Client<'h>> {
        Client::new(&self.hub.settings, &*self.hub.listener)
    }

    pub fn patience(&self) -> Patience {
        self.hub.settings.patience
    }

    pub fn emit(&self, event: &Event<'_>) {
        (self.hub.listener)(event);
    }

    fn api(&self, kind: Kind) -> String {
        let Name { repository, .. } = &self.name;
        format!(
            "{}/api/{}/{repository}",
            self.hub.settings.endpoint,
            kind.plural()
        )
    }

    /// Where a person looks at it.
    fn page(&self) -> String {
        format!("{}/{}", self.hub.settings.endpoint, self.name.address())
    }

    pub fn file_address(&self, commit: &str, file: &str) -> String {
        format!(
            "{}/resolve/{}/{}",
            self.page(),
            encoded(commit),
            file.split('/').map(encoded).collect::<Vec<_>>().join("/")
        )
    }

    fn shut(&self) -> Option<Shut> {
        if !self.hub.downloads {
            return Some(Shut::Looking);
        }
        self.hub.settings.offline.map(Shut::Offline)
    }

    /// Which commit the name stands for, and its files. A commit that was listed before is not asked for again.
    pub fn state(&self) -> Result<State> {
        let revision = self.name.revision();
        let exact = is_commit(revision).then(|| revision.to_lowercase());
        let known = exact.clone().or_else(|| self.cache.read_ref(revision));
        let shut = self.shut();
        if let Some(commit) = &exact
            && let Some(tree) = self.cache.tree(commit)
        {
            return Ok(State {
                commit: commit.clone(),
                tree,
                complete: true,
                shut,
            });
        }
        if let Some(shut) = shut {
            return self.cached(known, shut);
        }
        let there = known
            .as_ref()
            .is_some_and(|commit| self.cache.snapshot(commit).is_dir());
        match self.ask(revision, !there) {
            Ok(state) => {
                if exact.is_none() {
                    let text = format!("`{}` is at commit {}", self.name, state.commit);
                    self.emit(&Event::Note(&text));
                }
                Ok(state)
            }
            Err(failure) if failure.is_no_answer() && there => {
                let why = format!("{} cannot be reached ({failure})", self.host());
                self.emit(&Event::Note(&format!(
                    "`{}`: {why}; what is in the cache is used",
                    self.name
                )));
                self.cached(known, Shut::Unreachable(why))
            }
            Err(failure) => Err(self.refused(&failure)),
        }
    }

    fn host(&self) -> &str {
        host(&self.hub.settings.endpoint)
    }

    fn cached(&self, commit: Option<String>, shut: Shut) -> Result<State> {
        let Some(commit) = commit else {
            return Err(self.absent(&shut, "it"));
        };
        let (tree, complete) = match self.cache.tree(&commit) {
            Some(tree) => (tree, true),
            None => (self.cache.files(&commit), false),
        };
        if tree.is_empty() {
            return Err(self.absent(&shut, "it"));
        }
        Ok(State {
            commit,
            tree,
            complete,
            shut: Some(shut),
        })
    }

    /// Asks the hub for the commit and its files, and keeps both.
    fn ask(&self, revision: &str, patient: bool) -> std::result::Result<State, Failure> {
        let other = |e: Error| Failure::Other(e.to_string());
        let client = self.client().map_err(other)?;
        let address = format!(
            "{}/revision/{}?blobs=true",
            self.api(self.name.kind),
            encoded(revision)
        );
        let json = match patient {
            true => client.json(&address)?,
            false => {
                let text = client.get(&address, 0)?.text()?;
                serde_json::from_str(&text).map_err(|e| Failure::Other(e.to_string()))?
            }
        };
        let commit = json["sha"].as_str().filter(|sha| is_commit(sha));
        let (Some(commit), Some(files)) = (commit, json["siblings"].as_array()) else {
            return Err(Failure::Other(format!(
                "{address} does not name a commit and its files; is HF_ENDPOINT right?"
            )));
        };
        let tree: Tree = files.iter().filter_map(entry).collect();
        if self.cache.tree(commit).as_ref() != Some(&tree) {
            self.noted(self.cache.write_tree(commit, &tree));
        }
        if !is_commit(revision) {
            self.noted(self.cache.write_ref(revision, commit));
        }
        Ok(State {
            commit: commit.to_string(),
            tree,
            complete: true,
            shut: None,
        })
    }

    /// What the hub said is not in the cache then, which this run can do without: a cache may be another's, and hold every file.
    fn noted(&self, written: Result<()>) {
        if let Err(e) = written {
            let text = format!("`{}`: what the hub lists is not kept: {e}", self.name);
            self.emit(&Event::Note(&text));
        }
    }

    /// A file of the commit, from the cache or the hub.
    pub fn file(&self, state: &State, file: &str) -> Result<PathBuf> {
        let entry = state.tree.get(file);
        if let Some(path) = self.cache.file(&state.commit, file, entry) {
            return Ok(path);
        }
        match &state.shut {
            Some(shut) => Err(self.absent(shut, &format!("`{file}`"))),
            None => self.fetch(&state.commit, file, entry),
        }
    }

    /// What is not in the cache cannot be had now. `what`: `it`, or a file.
    pub fn absent(&self, shut: &Shut, what: &str) -> Error {
        let (name, cache) = (&self.name, self.hub.settings.cache.display());
        match shut {
            Shut::Looking => Error::NotHere(format!(
                "`{name}` needs the download, which `tlkit run` does"
            )),
            Shut::Offline(variable) => Error::msg(format!(
                "`{name}`: {what} is not in the cache ({cache}), and {variable} is set; run it once without {variable}, or with the \
                 cache of a machine that has it"
            )),
            Shut::Unreachable(why) => Error::msg(format!(
                "`{name}`: {what} is not in the cache ({cache}), and {why}"
            )),
        }
    }

    /// The name itself was refused.
    fn refused(&self, failure: &Failure) -> Error {
        let Failure::Status { status, code, .. } = failure else {
            return self.trouble("", failure);
        };
        match (status, code.as_str()) {
            (404, "RevisionNotFound") => self.no_revision(),
            (404, _) => self.no_repository(),
            // The hub does not tell strangers which private repositories there are.
            (401, code) if code != "GatedRepo" && self.hub.settings.token.is_none() => {
                self.no_repository()
            }
            _ => self.trouble("", failure),
        }
    }

    /// A file of it was refused.
    pub fn failed(&self, file: &str, failure: &Failure) -> Error {
        self.trouble(file, failure)
    }

    fn trouble(&self, file: &str, failure: &Failure) -> Error {
        let (name, page, host) = (&self.name, self.page(), self.host());
        let what = match file {
            "" => format!("`{name}`"),
            file => format!("`{name}`: {file}"),
        };
        let said = match failure {
            Failure::Status { message, .. } if !message.is_empty() => format!(" ({message})"),
            _ => String::new(),
        };
        let tries = self.patience().attempts;
        let Failure::Status {
            status,
            code,
            wait,
            host: who,
            ..
        } = failure
        else {
            return Error::msg(match failure {
                Failure::Network(why) => format!(
                    "{what}: {host} cannot be reached, {tries} attempts ({why}); check the connection, HTTPS_PROXY and HF_ENDPOINT. \
                     What is in the cache runs with HF_HUB_OFFLINE=1"
                ),
                Failure::Certificate(_) => match &self.hub.settings.certificates {
                    Some((variable, file)) => format!(
                        "{what}: {failure}; {variable} names the certificates to trust, {}, and none of them vouches for it: add the one that does, \
                         or unset {variable} to trust Mozilla's",
                        file.display()
                    ),
                    None => format!(
                        "{what}: {failure}; SSL_CERT_FILE names a file of certificates to trust, such as that of a proxy on the way"
                    ),
                },
                other => format!("{what}: {other}"),
            });
        };
        let has_token = self.hub.settings.token.is_some();
        let wait = match wait {
            Some(s) => format!(
                ", and asks to wait {}",
                seconds(std::time::Duration::from_secs(*s))
            ),
            None if failure.passes() => format!(", {tries} attempts"),
            None => String::new(),
        };
        Error::msg(match (status, code.as_str()) {
            (401 | 403, "GatedRepo") if has_token => format!(
                "{what}: gated, and the account of this token has not been let in{said}; ask for access at {page}"
            ),
            (401 | 403, "GatedRepo") => format!(
                "{what}: gated{said}; accept its conditions at {page}, then set HF_TOKEN to a token of that account"
            ),
            (401, _) if has_token => format!(
                "{what}: {who} does not accept the token{said}; make a new one at {}/settings/tokens, and set HF_TOKEN or log in again",
                self.hub.settings.endpoint
            ),
            (401, _) => format!(
                "{what}: {who} wants to know who asks{said}; set HF_TOKEN to a token from {}/settings/tokens",
                self.hub.settings.endpoint
            ),
            (403, _) if has_token => {
                format!("{what}: the token may not read this{said}; give it read access to {page}")
            }
            (403, _) => format!("{what}: {who} forbids it{said}; a token may help: set HF_TOKEN"),
            (404, _) => format!("{what}: there is no such file at this commit{said}; see {page}"),
            (429, _) => {
                let token = match has_token {
                    true => "",
                    false => "; with a token (HF_TOKEN) the limit is higher",
                };
                format!("{what}: {who} answers 429, too many requests{said}{wait}{token}")
            }
            (500.., _) => format!(
                "{what}: {who} answers {status}{said}{wait}; its trouble, so try later. What is in the cache runs with HF_HUB_OFFLINE=1"
            ),
            _ => format!("{what}: {who} answers {status}{said}"),
        })
    }

    fn no_revision(&self) -> Error {
        let revision = self.name.revision();
        let client = self.client().ok();
        let refs = client.and_then(|c| c.glance(&format!("{}/refs", self.api(self.name.kind))));
        let names = |key: &str| -> Vec<String> {
            let list = refs.as_ref().and_then(|r| r[key].as_array());
            let names = list.into_iter().flatten();
            names
                .filter_map(|r| r["name"].as_str().map(str::to_string))
                .collect()
        };
        let all: Vec<String> = names("branches").into_iter().chain(names("tags")).collect();
        let meant = match nearest(revision, all.iter().map(String::as_str)) {
            Some(near) => format!("; did you mean `{}`?", self.name.at(near)),
            None if all.is_empty() => String::new(),
            None => format!("; there are {}", listed(&all)),
        };
        Error::msg(format!(
            "`{}`: there is no branch, tag or commit `{revision}` in {}{meant}",
            self.name,
            self.page()
        ))
    }

    fn no_repository(&self) -> Error {
        let Name {
            kind, repository, ..
        } = &self.name;
        let client = self.client().ok();
        let glance = |address: String| client.as_ref()?.glance(&address);
        let hint = if glance(self.api(kind.other())).is_some() {
            let name = Name {
                kind: kind.other(),
                split: None,
                config: None,
                ..self.name.clone()
            };
            format!(
                "; there is a {} of that name, `{name}`",
                kind.other().words()
            )
        } else {
            let last = repository.rsplit('/').next().unwrap_or(repository);
            let found = glance(format!(
                "{}/api/{}?search={}&limit=20",
                self.hub.settings.endpoint,
                kind.plural(),
                encoded(last)
            ));
            let ids: Vec<&str> = found
                .as_ref()
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(|m| m["id"].as_str())
                .collect();
            // The same name at another owner, or a slip of the pen.
            let same = ids
                .iter()
                .copied()
                .find(|id| id.rsplit('/').next() == Some(last));
            match nearest(repository, ids.iter().copied()).or(same) {
                Some(id) => format!("; did you mean `hf:{}{id}`?", kind.prefix()),
                None => String::new(),
            }
        };
        let token = match self.hub.settings.token {
            Some(_) => "or this token may not see it",
            None => "or it is private, which needs a token (HF_TOKEN)",
        };
        Error::msg(format!(
            "`{}`: {} has no {} `{repository}`, {token}{hint}",
            self.name,
            self.host(),
            kind.words()
        ))
    }
}

/// A file in the hub's answer. What could leave the snapshot's folder is not a file for us.
fn entry(file: &Value) -> Option<(String, Entry)> {
    let name = file["rfilename"].as_str()?;
    let inside = |part: &str| {
        !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', ':', '\0'])
    };
    if !name.split('/').all(inside) {
        return None;
    }
    let entry = Entry {
        size: file["lfs"]["size"].as_u64().or(file["size"].as_u64()),
        blob: file["blobId"].as_str().map(str::to_string),
        sha256: file["lfs"]["sha256"].as_str().map(str::to_string),
    };
    Some((name.to_string(), entry))
}

/// As one segment of an address.
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(byte.into());
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

/// `` `a`, `b` and 3 more ``
pub(crate) fn listed(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(12).map(|n| format!("`{n}`")).collect();
    match names.len() {
        n if n > 12 => format!("{} and {} more", shown.join(", "), n - 12),
        _ => shown.join(", "),
    }
}
