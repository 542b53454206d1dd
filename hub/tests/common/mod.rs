//! A hub on loopback: the paths that huggingface_hub speaks, and a second host for large files. Faults by request, and a log.

#![allow(dead_code)]

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

use sha2::Digest;

/// What goes wrong with a request whose target contains a text.
#[derive(Clone, Debug)]
pub enum Fault {
    /// This status, with these headers.
    Status(u16, Vec<(&'static str, String)>),
    /// The body ends after so many bytes.
    Cut(usize),
    /// The same, and nobody says how long it is.
    NoLength(usize),
    /// A byte of the body is another.
    Garbage,
    /// A range is asked for, and all is sent.
    NoRange,
    /// 200 and a page for people.
    Page,
    /// The body begins after so many milliseconds.
    Late(u64),
}

#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub target: String,
    /// Whether the second host was asked.
    pub cdn: bool,
    pub headers: BTreeMap<String, String>,
}

#[derive(Clone, Default)]
pub struct Repository {
    /// Files by commit; those whose flag is set are large and lie on the second host.
    pub commits: BTreeMap<String, BTreeMap<String, (Vec<u8>, bool)>>,
    pub refs: BTreeMap<String, String>,
    /// Only with this token.
    pub private: Option<String>,
    pub gated: bool,
    /// It has another name now.
    pub moved: Option<String>,
}

#[derive(Default)]
pub struct World {
    /// `models/owner/name`
    pub repositories: BTreeMap<String, Repository>,
    /// Used once each, the first that fits; `forever` are not used up.
    pub faults: VecDeque<(String, Fault)>,
    pub forever: Vec<(String, Fault)>,
    /// Lists of files say no sizes.
    pub no_sizes: bool,
    pub log: Vec<Request>,
}

pub struct Server {
    pub address: String,
    pub cdn: String,
    world: Arc<Mutex<World>>,
}

impl Server {
    pub fn start() -> Server {
        let listen = || TcpListener::bind("127.0.0.1:0").expect("a port");
        let (hub, cdn) = (listen(), listen());
        let address = |l: &TcpListener| format!("http://{}", l.local_addr().expect("an address"));
        let server = Server {
            address: address(&hub),
            cdn: address(&cdn),
            world: Arc::default(),
        };
        for (listener, is_cdn) in [(hub, false), (cdn, true)] {
            let (world, cdn) = (server.world.clone(), server.cdn.clone());
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let (world, cdn) = (world.clone(), cdn.clone());
                    std::thread::spawn(move || serve(stream, &world, &cdn, is_cdn));
                }
            });
        }
        server
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().expect("the world")
    }

    /// Adds a commit at the head of `main`. Files above 1,000 bytes are large.
    pub fn add(&self, repository: &str, commit: &str, files: &[(&str, &[u8])]) {
        self.add_at(repository, commit, "main", files);
    }

    pub fn add_at(&self, repository: &str, commit: &str, branch: &str, files: &[(&str, &[u8])]) {
        let mut world = self.world();
        let repository = world.repositories.entry(repository.into()).or_default();
        let files = files
            .iter()
            .map(|(n, b)| (n.to_string(), (b.to_vec(), b.len() > 1000)));
        repository.commits.insert(commit.into(), files.collect());
        repository.refs.insert(branch.into(), commit.into());
    }

    pub fn fault(&self, target: &str, fault: Fault) {
        self.world().faults.push_back((target.into(), fault));
    }

    pub fn always(&self, target: &str, fault: Fault) {
        self.world().forever.push((target.into(), fault));
    }

    pub fn heal(&self) {
        let mut world = self.world();
        world.faults.clear();
        world.forever.clear();
    }

    /// What was asked since the last time: `GET /api/...`, those of the second host with `cdn:` in front.
    pub fn asked(&self) -> Vec<String> {
        let log = std::mem::take(&mut self.world().log);
        log.iter()
            .map(|r| {
                let host = if r.cdn { "cdn:" } else { "" };
                format!("{host}{} {}", r.method, r.target)
            })
            .collect()
    }
}

fn serve(stream: TcpStream, world: &Mutex<World>, cdn: &str, is_cdn: bool) {
    let mut reader = BufReader::new(stream.try_clone().expect("a stream"));
    let mut line = String::new();
    if reader.read_line(&mut line).is_err() || line.is_empty() {
        return;
    }
    let mut words = line.split_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return;
    };
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).is_err() || line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            headers.insert(name.trim().to_lowercase(), value.trim().to_string());
        }
    }
    let request = Request {
        method: method.into(),
        target: target.into(),
        cdn: is_cdn,
        headers,
    };
    let (reply, fault) = {
        let mut world = world.lock().expect("the world");
        world.log.push(request.clone());
        // `GET x` is for downloads alone, `x` for any request.
        let line = format!("{method} {target}");
        let once = world.faults.iter().position(|(t, _)| line.contains(t));
        let fault = match once {
            Some(i) => world.faults.remove(i).map(|(_, f)| f),
            None => {
                let mut all = world.forever.iter();
                all.find(|(t, _)| line.contains(t)).map(|(_, f)| f.clone())
            }
        };
        (answer(&request, &world, cdn), fault)
    };
    send(stream, &request, reply, fault);
}

struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

fn reply(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    Reply {
        status,
        headers: headers
            .iter()
            .map(|(n, v)| (n.to_string(), v.to_string()))
            .collect(),
        body: body.to_vec(),
    }
}

fn send(mut stream: TcpStream, request: &Request, mut reply: Reply, fault: Option<Fault>) {
    let mut cut = None;
    let (mut ranges, mut length) = (true, true);
    match fault {
        Some(Fault::Status(status, headers)) => {
            let headers: Vec<(&str, &str)> =
                headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
            reply = self::reply(status, &headers, b"an error page, which is no file");
        }
        Some(Fault::Page) => {
            reply = self::reply(200, &[], b"<html>Welcome to the hotel's network</html>")
        }
        Some(Fault::Cut(n)) => cut = Some(n),
        Some(Fault::NoLength(n)) => (cut, length) = (Some(n), false),
        Some(Fault::Garbage) => {
            let middle = reply.body.len() / 2;
            if let Some(byte) = reply.body.get_mut(middle) {
                *byte ^= 1;
            }
        }
        Some(Fault::NoRange) => ranges = false,
        Some(Fault::Late(ms)) => std::thread::sleep(std::time::Duration::from_millis(ms)),
        None => {}
    }
    let range = request
        .headers
        .get("range")
        .filter(|_| ranges && reply.status == 200);
    if let Some(from) = range.and_then(|r| {
        r.strip_prefix("bytes=")?
            .strip_suffix('-')?
            .parse::<usize>()
            .ok()
    }) {
        let all = reply.body.len();
        if from >= all {
            reply = self::reply(416, &[], b"");
        } else {
            reply.body.drain(..from);
            reply.status = 206;
            let range = format!("bytes {from}-{}/{all}", all - 1);
            reply.headers.push(("Content-Range".into(), range));
        }
    }
    let mut head = format!("HTTP/1.1 {} Said\r\nConnection: close\r\n", reply.status);
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if length {
        head.push_str(&format!("Content-Length: {}\r\n", reply.body.len()));
    }
    head.push_str("\r\n");
    let _ = stream.write_all(head.as_bytes());
    if request.method != "HEAD" {
        let n = cut.unwrap_or(reply.body.len()).min(reply.body.len());
        let _ = stream.write_all(&reply.body[..n]);
    }
    let _ = stream.flush();
}

pub fn sha256(bytes: &[u8]) -> String {
    hex(&sha2::Sha256::digest(bytes))
}

/// As git calls a file.
pub fn git(bytes: &[u8]) -> String {
    let mut sha = sha1::Sha1::new();
    sha.update(format!("blob {}\0", bytes.len()));
    sha.update(bytes);
    hex(&sha.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn no(status: u16, code: &str, message: &str) -> Reply {
    reply(
        status,
        &[("X-Error-Code", code), ("X-Error-Message", message)],
        b"no",
    )
}

fn answer(request: &Request, world: &World, cdn: &str) -> Reply {
    let target = request.target.split('?').next().unwrap_or_default();
    if request.cdn {
        let wanted = target.strip_prefix("/lfs/").unwrap_or_default();
        let mut all = world.repositories.values().flat_map(|r| r.commits.values());
        let found = all.find_map(|files| files.values().find(|(b, _)| sha256(b) == wanted));
        return match found {
            Some((bytes, _)) => reply(200, &[], bytes),
            None => reply(404, &[], b""),
        };
    }
    if let Some(kind) = target
        .strip_prefix("/api/")
        .filter(|k| matches!(*k, "models" | "datasets"))
    {
        // A search: every repository of the kind, as far as it is public.
        let ids = world
            .repositories
            .iter()
            .filter(|(_, r)| r.private.is_none());
        let ids = ids.filter_map(|(n, _)| n.strip_prefix(&format!("{kind}/")));
        let list: Vec<String> = ids.map(|id| format!("{{\"id\": \"{id}\"}}")).collect();
        return reply(200, &[], format!("[{}]", list.join(", ")).as_bytes());
    }
    // /api/models/o/n/revision/r, /o/n/resolve/r/file, /datasets/o/n/resolve/r/file
    let (key, rest, is_api) = match target.strip_prefix("/api/") {
        Some(rest) => {
            let end = ["/revision/", "/refs"]
                .iter()
                .filter_map(|m| rest.find(m))
                .min();
            let (key, rest) = rest.split_at(end.unwrap_or(rest.len()));
            (key.to_string(), rest.to_string(), true)
        }
        None => {
            let path = target.trim_start_matches('/');
            let (repository, rest) = path.split_once("/resolve/").unwrap_or((path, ""));
            let key = match repository.starts_with("datasets/") {
                true => repository.to_string(),
                false => format!("models/{repository}"),
            };
            (key, rest.to_string(), false)
        }
    };
    let Some(repository) = world.repositories.get(&key) else {
        return match request.headers.contains_key("authorization") {
            true => no(404, "RepoNotFound", "Repository not found"),
            false => no(401, "", "Invalid username or password."),
        };
    };
    if let Some(to) = &repository.moved {
        let (old, new) = (key.split_once('/').expect("a kind").1, to.as_str());
        return reply(307, &[("Location", &request.target.replace(old, new))], b"");
    }
    if let Some(token) = &repository.private {
        match request.headers.get("authorization") {
            None => return no(401, "", "Invalid username or password."),
            Some(given) if *given != format!("Bearer {token}") => {
                return no(401, "", "Invalid credentials in Authorization header");
            }
            Some(_) => {}
        }
    }
    let commit = |revision: &str| {
        let revision = revision.replace("%2F", "/");
        let commit = repository.refs.get(&revision).cloned().unwrap_or(revision);
        let files = repository.commits.get(&commit)?;
        Some((commit.clone(), files))
    };
    if is_api && rest == "/refs" {
        let names = repository
            .refs
            .keys()
            .map(|n| format!("{{\"name\": \"{n}\"}}"));
        let names = names.collect::<Vec<_>>().join(", ");
        return reply(
            200,
            &[],
            format!("{{\"branches\": [{names}], \"tags\": []}}").as_bytes(),
        );
    }
    if is_api {
        let revision = rest.strip_prefix("/revision/").unwrap_or("main");
        let Some((commit, files)) = commit(revision) else {
            return no(404, "RevisionNotFound", "Invalid rev id");
        };
        let files: Vec<String> = files
            .iter()
            .map(|(name, (bytes, large))| {
                let (n, lfs) = (
                    bytes.len(),
                    match large {
                        true => format!(
                            ", \"lfs\": {{\"sha256\": \"{}\", \"size\": {}}}",
                            sha256(bytes),
                            bytes.len()
                        ),
                        false => String::new(),
                    },
                );
                let size = match world.no_sizes {
                    true => String::new(),
                    false => format!("\"size\": {n}, "),
                };
                format!(
                    "{{\"rfilename\": \"{name}\", {size}\"blobId\": \"{}\"{lfs}}}",
                    git(bytes)
                )
            })
            .collect();
        let text = format!(
            "{{\"id\": \"x\", \"sha\": \"{commit}\", \"siblings\": [{}]}}",
            files.join(", ")
        );
        return reply(200, &[], text.as_bytes());
    }
    let (revision, file) = rest.split_once('/').unwrap_or((&rest, ""));
    let Some((commit, files)) = commit(revision) else {
        return no(404, "RevisionNotFound", "Invalid rev id");
    };
    if repository.gated {
        return no(403, "GatedRepo", "Access to this model is restricted");
    }
    let Some((bytes, large)) = files.get(&file.replace("%20", " ")) else {
        return no(404, "EntryNotFound", "Entry not found");
    };
    if *large {
        let (sha, size) = (sha256(bytes), bytes.len().to_string());
        let headers = [
            ("Location", format!("{cdn}/lfs/{sha}?signature=x")),
            ("X-Repo-Commit", commit),
            ("X-Linked-Etag", format!("\"{sha}\"")),
            ("X-Linked-Size", size),
        ];
        let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        return reply(302, &headers, b"Found. Redirecting");
    }
    let etag = format!("\"{}\"", git(bytes));
    reply(200, &[("X-Repo-Commit", &commit), ("ETag", &etag)], bytes)
}
