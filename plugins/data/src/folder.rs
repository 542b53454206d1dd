//! A folder of images: a folder a class, or images alone.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tlkit_core::data::{Blob, Input, ReadOptions, Reader, Table};
use tlkit_core::{Error, Result};

use crate::pipe;

/// Reads folders. Images lie in a folder a class (`photos/cat/1.jpg`, deeper folders count to their class), or directly in the folder, and then
/// have no labels. Files of other kinds, pipes and hidden ones are no rows. Rows are in the order of their paths.
#[derive(Clone, Copy, Debug)]
pub struct Folder;

/// Endings of images that are read.
pub const READ: [&str; 8] = ["jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "gif"];
/// Endings of images that are not read: they are rows all the same, so that nobody trains without them unawares.
const NOT_READ: [&str; 9] = [
    "tif", "tiff", "heic", "heif", "avif", "jp2", "jxl", "svg", "svgz",
];
/// What folders of splits are called.
const SPLITS: [&str; 10] = [
    "train",
    "training",
    "val",
    "valid",
    "validation",
    "test",
    "testing",
    "unlabeled",
    "unlabelled",
    "extra",
];

impl Reader for Folder {
    fn extensions(&self) -> &[&str] {
        &[]
    }

    fn reads_folders(&self) -> bool {
        true
    }

    fn open(&self, name: &str, blob: &Blob, _: &ReadOptions) -> Result<Arc<dyn Table>> {
        let Blob::Path(path) = blob else {
            return Err(Error::msg(format!("{name}: not a folder")));
        };
        let (folders, loose) = entries(path)?;
        let loose: Vec<PathBuf> = loose.into_iter().filter(|f| is_picture(f)).collect();
        let mut rows: Vec<(PathBuf, u32)> = Vec::new();
        let mut classes = Vec::new();
        for folder in &folders {
            let mut files = Vec::new();
            collect(folder, &mut files, 0)?;
            files.sort();
            let class = shown(folder.file_name());
            if files.is_empty() {
                classes.push((class, 0));
                continue;
            }
            let index = classes.len() as u32;
            classes.push((class, files.len()));
            rows.extend(files.into_iter().map(|f| (f, index)));
        }
        if rows.is_empty() && loose.is_empty() {
            return Err(Error::msg(format!(
                "{name}: no image in it; images are {}, in a folder a class",
                READ.map(|e| format!(".{e}")).join(", ")
            )));
        }
        if rows.is_empty() {
            return Ok(Arc::new(Files::new(name, path, loose, None)));
        }
        if !loose.is_empty() {
            return Err(Error::msg(format!(
                "{name}: {} beside the folders of the classes, {} among them; move what lies there into one of {}",
                match loose.len() {
                    1 => "1 image lies".to_string(),
                    n => format!("{n} images lie"),
                },
                shown(loose[0].file_name()),
                listed(&classes)
            )));
        }
        let splits = classes
            .iter()
            .all(|(c, _)| SPLITS.contains(&c.to_lowercase().as_str()));
        if splits {
            let mut names = classes.iter().map(|(c, _)| c);
            let one = names.find(|c| c.to_lowercase().starts_with("train"));
            let one = one.unwrap_or(&classes[0].0);
            return Err(Error::msg(format!(
                "{name}: its folders are splits and not classes ({}); write `train = \"{}\"` and so on",
                listed(&classes),
                Path::new(name).join(one).display()
            )));
        }
        if let Some((empty, _)) = classes.iter().find(|(_, n)| *n == 0) {
            return Err(Error::msg(format!(
                "{name}: the class `{empty}` has no image; put some into {}, or delete the folder",
                path.join(empty).display()
            )));
        }
        let (files, labels) = rows.into_iter().unzip();
        let names = classes.into_iter().map(|(c, _)| c).collect();
        Ok(Arc::new(Files::new(
            name,
            path,
            files,
            Some((labels, names)),
        )))
    }
}

/// Rows that are files.
pub struct Files {
    columns: Vec<String>,
    /// How the user wrote it, and the folder that is meant.
    name: String,
    base: PathBuf,
    files: Vec<PathBuf>,
    /// A class a row, and the classes' names.
    labels: Option<(Vec<u32>, Vec<String>)>,
}

impl Files {
    /// A table of files under a folder.
    pub fn new(
        name: &str,
        base: &Path,
        files: Vec<PathBuf>,
        labels: Option<(Vec<u32>, Vec<String>)>,
    ) -> Self {
        let columns = match labels {
            Some(_) => vec!["image".to_string(), "label".to_string()],
            None => vec!["image".to_string()],
        };
        Files {
            columns,
            name: name.trim_end_matches(['/', '\\']).to_string(),
            base: base.to_path_buf(),
            files,
            labels,
        }
    }

    fn inside(&self, row: usize) -> String {
        let file = &self.files[row];
        let inside = file.strip_prefix(&self.base).unwrap_or(file);
        // The same on every system.
        inside.to_string_lossy().replace('\\', "/")
    }
}

impl Table for Files {
    fn columns(&self) -> &[String] {
        &self.columns
    }

    fn rows(&self) -> usize {
        self.files.len()
    }

    fn cell(&self, row: usize, column: usize) -> Result<Input<'_>> {
        match (column, &self.labels) {
            (1, Some((labels, names))) => {
                Ok(Input::Text(names[labels[row] as usize].as_str().into()))
            }
            _ => {
                pipe::refuse(&self.place(row), &self.files[row])?;
                let bytes = std::fs::read(&self.files[row])
                    .map_err(|e| Error::msg(format!("{}: {e}", self.place(row))))?;
                Ok(Input::Image(bytes.into()))
            }
        }
    }

    fn id(&self, row: usize) -> Option<String> {
        Some(self.inside(row))
    }

    fn place(&self, row: usize) -> String {
        match self.inside(row) {
            inside if self.name.is_empty() => inside,
            inside => format!("{}/{inside}", self.name),
        }
    }
}

/// Every image in a folder and the folders in it, sorted. Those of kinds that are not read are among them.
pub fn pictures_under(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    collect(folder, &mut files, 0)?;
    files.sort();
    Ok(files)
}

/// These files as rows with the one column `image`.
pub fn pictures(files: Vec<PathBuf>) -> Arc<dyn Table> {
    Arc::new(Files::new("", Path::new(""), files, None))
}

/// Whether a file is an image by its name, read or not.
pub fn is_picture(path: &Path) -> bool {
    let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    ending.is_some_and(|e| READ.contains(&e.as_str()) || NOT_READ.contains(&e.as_str()))
}

/// Folders and files, each sorted; hidden ones are passed over, and pipes and devices, links followed.
fn entries(folder: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let mut folders = Vec::new();
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder))? {
        let path = entry.map_err(Error::io(folder))?.path();
        let name = shown(path.file_name());
        if name.starts_with('.') || name == "__MACOSX" {
            continue;
        }
        match std::fs::metadata(&path) {
            Ok(meta) if meta.is_dir() => folders.push(path),
            Ok(meta) if !meta.is_file() => {}
            // A link that leads nowhere is told of when it is read: nobody trains without its image unawares.
            _ => files.push(path),
        }
    }
    folders.sort();
    files.sort();
    Ok((folders, files))
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>, depth: usize) -> Result<()> {
    if depth > 16 {
        return Err(Error::msg(format!(
            "{}: folders within folders, more than 16 deep; is there a link to a folder above?",
            folder.display()
        )));
    }
    let (folders, files) = entries(folder)?;
    into.extend(files.into_iter().filter(|f| is_picture(f)));
    folders.iter().try_for_each(|f| collect(f, into, depth + 1))
}

fn shown(name: Option<&std::ffi::OsStr>) -> String {
    name.map_or_else(String::new, |n| n.to_string_lossy().into_owned())
}

fn listed(classes: &[(String, usize)]) -> String {
    let mut names: Vec<String> = classes
        .iter()
        .take(6)
        .map(|(c, _)| format!("`{c}`"))
        .collect();
    if classes.len() > 6 {
        names.push(format!("{} more", classes.len() - 6));
    }
    names.join(", ")
}
