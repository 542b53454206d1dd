//! IDX files.

use tlkit_data::Idx;
use tlkit_image::{Limits, decode};

use super::*;

fn idx(dims: &[u32], values: &[u8]) -> Vec<u8> {
    let mut out = vec![0, 0, 8, dims.len() as u8];
    dims.iter().for_each(|d| out.extend(d.to_be_bytes()));
    out.extend(values);
    out
}

#[test]
fn idx_files_with_their_labels_beside_them() {
    let world = World::new();
    let pixels: Vec<u8> = (0..24).map(|i| i * 10).collect();
    world.put("train-images-idx3-ubyte", &idx(&[4, 3, 2], &pixels));
    world.put("train-labels-idx1-ubyte", &idx(&[4], &[7, 0, 7, 0]));
    let path = Blob::Path(world.path("train-images-idx3-ubyte"));
    let table = Idx.open("mnist", &path, &ReadOptions::default()).unwrap();
    assert_eq!((table.columns().len(), table.rows()), (2, 4));
    assert_eq!(text(table.cell(2, 1).unwrap()), "7");
    let image = decode(&bytes(table.cell(1, 0).unwrap()), &Limits::default()).unwrap();
    assert_eq!((image.width, image.height), (2, 3));
    assert_eq!(image.at(1, 2), [110; 3]);
    let data = world.data(&format!("train = \"train-images-idx3-ubyte\"\n{NO_SPLIT}"));
    assert_eq!(data.classes().as_slice(), ["0", "7"]);

    let says = |images: Vec<u8>, labels: Vec<u8>, words: &str| {
        world
            .put("x-images-idx3-ubyte", &images)
            .put("x-labels-idx1-ubyte", &labels);
        let path = Blob::Path(world.path("x-images-idx3-ubyte"));
        let error = Idx.open("x", &path, &ReadOptions::default()).err();
        let error = error.map(|e| e.to_string()).unwrap_or_default();
        assert!(error.contains(words), "{error}\nhas no: {words}");
    };
    let good = || idx(&[4, 3, 2], &pixels);
    says(
        good(),
        idx(&[3], &[1, 2, 3]),
        "has 3 labels, and there are 4 images; are the two of one set?",
    );
    says(
        idx(&[4, 3, 2], &pixels[..9]),
        idx(&[4], &[0; 4]),
        "its header says 24 values, and 9 follow",
    );
    says(
        idx(&[u32::MAX, u32::MAX, u32::MAX], &[]),
        vec![],
        "its header says too many values, and 0 follow",
    );
    says(idx(&[4], &[0; 4]), vec![], "not an IDX file");
    says(
        idx(&[4, 3, 2], &pixels),
        idx(&[4, 3, 2], &pixels),
        "for labels; this has the type 8 and 3 dimensions",
    );
    says(b"hello".to_vec(), vec![], "not an IDX file");
}

#[test]
fn the_real_mnist() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/images/mnist");
    if !path.is_dir() {
        println!("skipped: no ../shared/data");
        return;
    }
    let file = path.join("t10k-images-idx3-ubyte.gz");
    assert!(Idx.reads(&file.display().to_string()));
    let table = Idx
        .open("mnist", &Blob::Path(file), &ReadOptions::default())
        .unwrap();
    assert_eq!(table.rows(), 10_000);
    let firsts: Vec<String> = (0..8).map(|r| text(table.cell(r, 1).unwrap())).collect();
    assert_eq!(firsts, ["7", "2", "1", "0", "4", "1", "4", "9"]);
}
