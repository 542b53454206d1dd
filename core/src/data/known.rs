//! Data sets that defaults were chosen on, told by the names of their files.

/// Saenko et al. 2010: amazon, dslr, webcam.
pub const OFFICE_31: &str = "Office-31";
/// Gong et al. 2012: ten classes of these, and Caltech's.
pub const OFFICE_CALTECH: &str = "Office with Caltech";
/// MNIST, USPS, SVHN.
pub const DIGITS: &str = "digits";
/// Peng et al. 2017.
pub const VISDA: &str = "VisDA";
/// `builtin:scenes`.
pub const SCENES: &str = "drawn scenes";

/// A data set, how files and folders of it are called, in small letters and digits alone, and names that contain such a one and are of something else.
/// Three domains of Office with Caltech are Office-31's, so that each is the other's.
const KNOWN: [(&str, &[&str], &[&str]); 5] = [
    (OFFICE_31, &["office31", "officecaltech"], &[]),
    (OFFICE_CALTECH, &["officecaltech", "office31"], &[]),
    (
        DIGITS,
        &["mnist", "usps", "svhn"],
        &["fashionmnist", "kmnist", "emnist"],
    ),
    (VISDA, &["visda"], &[]),
    (SCENES, &["builtinscenes"], &[]),
];

/// Whether a file, folder or builtin is, by its name, of a data set.
pub(crate) fn is_of(set: &str, file: &str) -> bool {
    let name: String = (file.chars().filter(char::is_ascii_alphanumeric))
        .map(|c| c.to_ascii_lowercase())
        .collect();
    let known = KNOWN.iter().find(|(known, ..)| *known == set);
    known.is_some_and(|(_, names, others)| {
        let rest = others.iter().fold(name, |name, o| name.replace(o, " "));
        names.iter().any(|n| rest.contains(n))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_set_is_told_by_the_names_of_its_files() {
        for (set, file, is) in [
            ("Office-31", "images/Office-31/amazon", true),
            ("Office-31", "data/office_caltech_10/webcam", true),
            ("Office with Caltech", "OfficeCaltech/SURF/dslr.csv", true),
            ("Office-31", "office/amazon", false),
            ("digits", "data/mnist-test-images-idx3-ubyte", true),
            ("digits", "USPS/test", true),
            ("digits", "fashion-mnist/test", false),
            ("digits", "fashion-mnist/mnist-test", true),
            ("VisDA", "visda2017/validation", true),
            ("drawn scenes", "builtin:scenes/night/test#600", true),
            ("drawn scenes", "scenes/night", false),
            ("ours", "ours", false),
        ] {
            assert_eq!(is_of(set, file), is, "{set}: {file}");
        }
    }
}
