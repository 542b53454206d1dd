//! One file, from the hub into the cache: whole and checked, or not at all.
//!
//! A blob is called by its checksum: sha256 for large files (`x-linked-etag`), git's sha1 for small ones. What was received is hashed
//! and compared before it gets that name. A part that is left over stays beside it as `.incomplete`, and is gone on with.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha1::Sha1;
use sha2::{Digest, Sha256};
use tlkit_core::{Error, Result};

use crate::cache::{Entry, trouble};
use crate::event::Event;
use crate::http::{Answer, Client, Failure};
use crate::repository::Repository;

/// What the hub says of a file before it is downloaded.
struct About {
    etag: String,
    size: Option<u64>,
}

/// How the content of a file is known to be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    Sha256,
    Git,
    /// The etag is neither; the size is all there is.
    Size,
}

impl Check {
    fn of(etag: &str) -> Check {
        let hex = etag.bytes().all(|b| b.is_ascii_hexdigit());
        match etag.len() {
            64 if hex => Check::Sha256,
            40 if hex => Check::Git,
            _ => Check::Size,
        }
    }
}

impl Repository<'_> {
    /// A file of a commit: from the cache, or downloaded into it.
    pub fn fetch(&self, commit: &str, file: &str, entry: Option<&Entry>) -> Result<PathBuf> {
        if let Some(path) = self.cache.file(commit, file, entry) {
            return Ok(path);
        }
        let client = self.client()?;
        let address = self.file_address(commit, file);
        let mut about = client
            .patiently(file, || (false, client.head(&address)))
            .and_then(|answer| About::read(&answer, &address))
            .map_err(|e| self.failed(file, &e))?;
        about.size = about.size.or(entry.and_then(|e| e.size));
        let lock = self
            .cache
            .lock(&about.etag, self.patience().lock, &|path| {
                client.note(&format!(
                    "{file}: waiting for another process, which holds {}",
                    path.display()
                ));
            })?;
        let blob = self.cache.blob(&about.etag);
        // Not hashed where its size tells: large files would be at each run.
        let whole = match about.size {
            Some(size) => fs::metadata(&blob).is_ok_and(|there| there.len() == size),
            None => is_called(&blob, &about.etag).unwrap_or(false),
        };
        // The other process may have brought it; or another file has the same content.
        if !whole {
            self.download(&client, &address, file, &about)?;
        }
        let path = self.cache.link(commit, file, &about.etag)?;
        drop(lock);
        Ok(path)
    }

    fn download(
        &self,
        client: &Client<'_>,
        address: &str,
        file: &str,
        about: &About,
    ) -> Result<()> {
        let partial = self.cache.partial(&about.etag);
        let left = fs::metadata(&partial).map_or(0, |m| m.len());
        self.emit(&Event::Begin {
            repository: &self.name.repository,
            file,
            bytes: about.size,
            done: left,
        });
        let ended = self.receive(client, address, file, about, &partial);
        self.emit(&Event::End);
        let mut right = ended?;
        if !right && left > 0 {
            // The part that was there may have been of something else. Once more, from the beginning.
            client.note(&format!(
                "{file}: what an earlier download left does not belong to it; from the beginning"
            ));
            remove(&partial)?;
            self.emit(&Event::Begin {
                repository: &self.name.repository,
                file,
                bytes: about.size,
                done: 0,
            });
            let ended = self.receive(client, address, file, about, &partial);
            self.emit(&Event::End);
            right = ended?;
        }
        if !right {
            remove(&partial)?;
            return Err(Error::msg(format!(
                "`{}`: {file} was received whole, but its checksum is not the {} that the hub names; nothing was kept. \
                 Run it again; when that does not help, something between here and {} changes what is sent",
                self.name,
                about.etag,
                crate::http::host(address)
            )));
        }
        let blob = self.cache.blob(&about.etag);
        fs::rename(&partial, &blob).map_err(trouble(&blob))
    }

    /// Receives until all is there; says whether the checksum is right.
    fn receive(
        &self,
        client: &Client<'_>,
        address: &str,
        file: &str,
        about: &About,
        partial: &Path,
    ) -> Result<bool> {
        let mut options = File::options();
        let options = options.create(true).truncate(false).read(true).write(true);
        let mut out = options.open(partial).map_err(trouble(partial))?;
        let mut taken = Taken::new(about, &mut out).map_err(trouble(partial))?;
        let mut disk = None;
        client
            .patiently(file, || {
                let before = taken.bytes;
                let result = self.attempt(client, address, &mut taken, &mut disk);
                (taken.bytes > before, result)
            })
            .map_err(|e| match disk.take() {
                Some(e) => trouble(partial)(e),
                None => self.failed(file, &e),
            })?;
        let right = taken.is_right();
        out.sync_all().map_err(trouble(partial))?;
        match about.size {
            Some(_) => Ok(right),
            // Whether that was all of it only its name can tell.
            None => is_called(partial, &about.etag).map_err(trouble(partial)),
        }
    }

    fn attempt(
        &self,
        client: &Client<'_>,
        address: &str,
        taken: &mut Taken<'_>,
        disk: &mut Option<io::Error>,
    ) -> std::result::Result<(), Failure> {
        if taken.size.is_some_and(|n| n == taken.bytes) {
            return Ok(());
        }
        let mut on_disk = |e: io::Error| {
            let said = Failure::Other(e.to_string());
            *disk = Some(e);
            said
        };
        let answer = client.get(address, taken.bytes)?;
        let goes_on = answer.status == 206 && begins(&answer) == Some(taken.bytes);
        if !goes_on {
            // The server sends it whole, or says that there is no such rest.
            if taken.bytes > 0 {
                taken.restart().map_err(&mut on_disk)?;
            }
            if answer.status != 200 {
                let why = "the server cannot send the rest; from the beginning";
                return Err(Failure::Network(why.into()));
            }
        }
        let mut body = answer.reader();
        let mut buffer = vec![0u8; 1 << 16];
        loop {
            let n = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(Failure::Network(format!("the connection broke ({e})"))),
            };
            taken.take(&buffer[..n]).map_err(&mut on_disk)?;
            self.emit(&Event::Bytes { done: taken.bytes });
        }
        match taken.size {
            Some(size) if taken.bytes < size => Err(Failure::Network(format!(
                "the connection ended after {} of {size} bytes",
                taken.bytes
            ))),
            _ => Ok(()),
        }
    }
}

/// What is received so far, on disk and in a running hash.
struct Taken<'f> {
    out: &'f mut File,
    bytes: u64,
    size: Option<u64>,
    etag: &'f str,
    check: Check,
    sha256: Sha256,
    sha1: Sha1,
}

impl<'f> Taken<'f> {
    /// Goes on behind what is in the file.
    fn new(about: &'f About, out: &'f mut File) -> io::Result<Self> {
        let mut taken = Taken {
            out,
            bytes: 0,
            size: about.size,
            etag: &about.etag,
            check: Check::of(&about.etag),
            sha256: Sha256::new(),
            sha1: Sha1::new(),
        };
        taken.begin();
        // Longer than the file: it is of something else.
        let mut there = taken.out.metadata()?.len();
        if there > taken.size.unwrap_or(0) {
            taken.out.set_len(0)?;
            there = 0;
        }
        let mut buffer = vec![0u8; 1 << 16];
        while taken.bytes < there {
            match taken.out.read(&mut buffer)? {
                0 => break,
                n => taken.hash(&buffer[..n]),
            }
        }
        Ok(taken)
    }

    fn begin(&mut self) {
        self.bytes = 0;
        self.sha256 = Sha256::new();
        self.sha1 = Sha1::new();
        // Git hashes a header first, which has the size in it.
        self.sha1
            .update(format!("blob {}\0", self.size.unwrap_or_default()));
    }

    fn restart(&mut self) -> io::Result<()> {
        use std::io::Seek;
        self.out.set_len(0)?;
        self.out.rewind()?;
        self.begin();
        Ok(())
    }

    fn hash(&mut self, bytes: &[u8]) {
        match self.check {
            Check::Sha256 => self.sha256.update(bytes),
            Check::Git => self.sha1.update(bytes),
            Check::Size => {}
        }
        self.bytes += bytes.len() as u64;
    }

    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.hash(bytes);
        Ok(())
    }

    /// Of a file whose size is known: git hashes that too.
    fn is_right(&self) -> bool {
        let same = |hash: &[u8]| tlkit_core::hex(hash).eq_ignore_ascii_case(self.etag);
        self.size.is_none_or(|n| n == self.bytes)
            && match self.check {
                Check::Sha256 => same(&self.sha256.clone().finalize()),
                Check::Git => same(&self.sha1.clone().finalize()),
                Check::Size => true,
            }
    }
}

impl About {
    fn read(answer: &Answer, address: &str) -> std::result::Result<About, Failure> {
        let etag = answer
            .header("x-linked-etag")
            .or_else(|| answer.header("etag"));
        let etag = etag.map(|e| e.trim().trim_start_matches("W/").trim_matches('"'));
        // It becomes a file's name.
        let plain = |e: &&str| {
            !e.is_empty()
                && e.len() <= 128
                && e.bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        let Some(etag) = etag.filter(plain) else {
            return Err(Failure::Other(format!(
                "{address} does not say which file it is (no ETag); is HF_ENDPOINT a mirror of the hub?"
            )));
        };
        let redirected = (300..400).contains(&answer.status);
        // The length of a redirect's own body is not the file's.
        let length = answer.number("content-length").filter(|_| !redirected);
        Ok(About {
            etag: etag.to_string(),
            size: answer.number("x-linked-size").or(length),
        })
    }
}

/// Where a part begins: `Content-Range: bytes 100-199/200`.
fn begins(answer: &Answer) -> Option<u64> {
    let range = answer.header("content-range")?.trim();
    let range = range.strip_prefix("bytes")?.trim_start();
    range.split('-').next()?.parse().ok()
}

/// Whether a file's content is what its etag says, as far as an etag says it.
fn is_called(path: &Path, etag: &str) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let hash = match Check::of(etag) {
        Check::Sha256 => hashed(&mut file, Sha256::new())?,
        Check::Git => {
            let header = format!("blob {}\0", file.metadata()?.len());
            hashed(&mut file, Sha1::new_with_prefix(header))?
        }
        Check::Size => return Ok(true),
    };
    Ok(hash.eq_ignore_ascii_case(etag))
}

fn hashed(file: &mut File, mut hash: impl Digest) -> io::Result<String> {
    let mut buffer = vec![0u8; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(tlkit_core::hex(&hash.finalize())),
            n => hash.update(&buffer[..n]),
        }
    }
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(trouble(path)(e)),
        _ => Ok(()),
    }
}
