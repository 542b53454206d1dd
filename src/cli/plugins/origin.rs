//! Where the source of this binary can be fetched from. Part of the build script, which asks while the source tree is there.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The repository that the manifest names, otherwise the one that the source tree was cloned from.
pub fn repository(manifest: &str, tree: &Path) -> Option<String> {
    match manifest {
        "" => origin(tree).as_deref().and_then(public),
        named => Some(named.into()),
    }
}

/// What git calls the `origin` of a tree. Nothing where that is no checkout of its own, but lies in another's.
fn origin(tree: &Path) -> Option<String> {
    let top = git(tree, &["rev-parse", "--show-toplevel"])?;
    let same = Path::new(&top).canonicalize().ok()? == tree.canonicalize().ok()?;
    same.then(|| git(tree, &["remote", "get-url", "origin"]))?
}

/// The file that says what the origin is.
pub fn config(tree: &Path) -> Option<PathBuf> {
    let common = git(tree, &["rev-parse", "--git-common-dir"])?;
    let config = tree.join(common).join("config");
    config.is_file().then_some(config)
}

fn git(tree: &Path, arguments: &[&str]) -> Option<String> {
    let mut git = Command::new("git");
    // Set where a hook of git's builds: of another repository, perhaps.
    git.env_remove("GIT_DIR").env_remove("GIT_WORK_TREE");
    let out = git.arg("-C").arg(tree).args(arguments).output().ok()?;
    let said = String::from_utf8(out.stdout).ok()?;
    (out.status.success() && !said.trim().is_empty()).then(|| said.trim().to_string())
}

/// An address that may be passed on: without password, and over HTTP without user. Nothing where it is a folder of this machine.
fn public(address: &str) -> Option<String> {
    let Some((scheme, rest)) = address.split_once("://") else {
        let scp = address.contains('@') && address.contains(':');
        return scp.then(|| address.to_string());
    };
    let (server, path) = rest.split_once('/').unwrap_or((rest, ""));
    let server = match server.rsplit_once('@') {
        Some((_, host)) if scheme.starts_with("http") => host.to_string(),
        Some((user, host)) => {
            let name = user.split_once(':').map_or(user, |(name, _)| name);
            format!("{name}@{host}")
        }
        None => server.to_string(),
    };
    (scheme != "file").then(|| format!("{scheme}://{server}/{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_manifest_names_and_otherwise_the_origin_without_its_credentials() {
        let folder = tempfile::tempdir().expect("a folder");
        let tree = folder.path().join("tree");
        std::fs::create_dir_all(tree.join("inner")).expect("a folder");
        let named = "https://example.org/named";
        assert_eq!(repository(named, &tree).as_deref(), Some(named));
        let run = |arguments: &[&str]| {
            let mut git = Command::new("git");
            git.env_remove("GIT_DIR").env_remove("GIT_WORK_TREE");
            git.arg("-C").arg(&tree).args(arguments).output()
        };
        if run(&["init", "-q"]).is_err() {
            println!("skipped: no git");
            return;
        }
        assert_eq!(repository("", &tree), None, "it has no origin");
        let config = config(&tree).expect("a configuration");
        assert!(config.ends_with(".git/config"), "{}", config.display());
        run(&["remote", "add", "origin", "nowhere"]).expect("git runs");
        for (address, passed) in [
            (
                "https://me:secret@example.org/tlkit.git",
                Some("https://example.org/tlkit.git"),
            ),
            (
                "https://token@example.org:8443/a/b@c",
                Some("https://example.org:8443/a/b@c"),
            ),
            (
                "ssh://git:secret@example.org/tlkit",
                Some("ssh://git@example.org/tlkit"),
            ),
            (
                "https://example.org/tlkit",
                Some("https://example.org/tlkit"),
            ),
            ("git@example.org:a/tlkit", Some("git@example.org:a/tlkit")),
            ("/srv/git/tlkit.git", None),
            ("../tlkit", None),
            ("file:///srv/git/tlkit.git", None),
        ] {
            run(&["remote", "set-url", "origin", address]).expect("git runs");
            assert_eq!(repository("", &tree).as_deref(), passed, "{address}");
            assert_eq!(repository(named, &tree).as_deref(), Some(named));
        }
        // A tree in another's checkout has not that one's origin.
        assert_eq!(repository("", &tree.join("inner")), None);
        assert_eq!(repository("", &folder.path().join("gone")), None);
    }
}
