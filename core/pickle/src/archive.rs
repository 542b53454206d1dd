//! Files since PyTorch 1.6: a zip archive of `data.pkl` and a file a storage.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use candle_core::Tensor;

use crate::machine::Machine;
use crate::{broken, described};

/// Largest pickle that is read. That of a ResNet-152 has 100 KB.
const PICKLE: u64 = 64 << 20;

pub(crate) fn read(file: &str, bytes: &[u8]) -> Result<BTreeMap<String, Tensor>, String> {
    let broken = |e: &dyn std::fmt::Display| broken(file, e);
    let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|e| broken(&e))?;
    let mut names = Vec::with_capacity(zip.len());
    for i in 0..zip.len() {
        let entry = zip.by_index_raw(i).map_err(|e| broken(&e))?;
        names.push(String::from_utf8_lossy(entry.name_raw()).into_owned());
    }
    let Some(pickle) = names.iter().position(|n| n.ends_with("data.pkl")) else {
        return Err(broken(&"no data.pkl in it"));
    };
    let folder = names[pickle].trim_end_matches("data.pkl").to_string();
    let mut program = Vec::new();
    zip.by_index(pickle)
        .map_err(|e| broken(&e))?
        .take(PICKLE + 1)
        .read_to_end(&mut program)
        .map_err(|e| broken(&e))?;
    if program.len() as u64 > PICKLE {
        return Err(broken(&"its data.pkl is over 64 MiB"));
    }
    let mut machine = Machine::new(&program);
    let root = machine.run().map_err(|why| format!("{file}: {why}"))?;
    let mut tensors = BTreeMap::new();
    let mut storages: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for (name, info) in described(file, &machine, &root)? {
        let storage = &info.storage;
        let (wanted, size) = (format!("{folder}data/{}", storage.key), storage.bytes());
        if !storages.contains_key(&storage.key) {
            let at = names.iter().position(|n| *n == wanted);
            let at = at.ok_or_else(|| broken(&format!("no {wanted} in it")))?;
            let mut data = Vec::new();
            zip.by_index(at)
                .map_err(|e| broken(&e))?
                .take(size)
                .read_to_end(&mut data)
                .map_err(|e| broken(&e))?;
            storages.insert(storage.key.clone(), data);
        }
        let data = &storages[&storage.key];
        // Also of one that was read for another tensor: the pickle says its size each time.
        if data.len() as u64 != size {
            let why = format!("{wanted} has {} of {size} bytes", data.len());
            return Err(broken(&why));
        }
        let tensor = info
            .tensor(data)
            .map_err(|why| format!("{file}: {name}: {why}"))?;
        tensors.insert(name, tensor);
    }
    Ok(tensors)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// Two tensors of one storage, of four numbers and of `second`.
    fn file(second: u8) -> Vec<u8> {
        let tensor = |name: u8, count: u8| {
            let start = b"ctorch._utils\n_rebuild_tensor_v2\n((U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuK";
            let rest = [b"tQK\x00K", &[count][..], b"\x85K\x01\x85tR"].concat();
            [b"U\x01", &[name][..], start, &[count], &rest].concat()
        };
        let program = [
            b"\x80\x02}(".as_slice(),
            &tensor(b'a', 4),
            &tensor(b'b', second),
            b"u.",
        ]
        .concat();
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Stored);
        for (name, bytes) in [("x/data.pkl", program), ("x/data/0", vec![0; 16])] {
            zip.start_file(name, options).expect("a file in it");
            zip.write_all(&bytes).expect("its bytes");
        }
        zip.finish().expect("an archive").into_inner()
    }

    #[test]
    fn a_storage_has_one_size_whoever_asks() {
        let tensors = read("new.pth", &file(4)).expect("it is whole");
        assert_eq!(tensors.len(), 2);
        for second in [3, 200] {
            let why = read("new.pth", &file(second)).expect_err("it is damaged");
            assert!(why.contains("x/data/0 has 16 of"), "{why}");
        }
    }
}
