//! What a download says while it works. The hub draws nothing.

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A file is going to be downloaded.
    Begin {
        /// `owner/name`
        repository: &'a str,
        /// Its name in the repository.
        file: &'a str,
        /// Its size, where the hub says it.
        bytes: Option<u64>,
        /// How much of it an earlier attempt left.
        done: u64,
    },
    /// So much of it is here.
    Bytes {
        /// From the beginning of the file.
        done: u64,
    },
    /// It is here, whole and checked, or it failed.
    End,
    /// A remark: a wait, a retry, the commit that a branch is at.
    Note(&'a str),
}

/// Hears what happens, from the thread that downloads.
pub type Listener = dyn Fn(&Event<'_>) + Send + Sync;
