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
        if !storages.contains_key(&storage.key) {
            let wanted = format!("{folder}data/{}", storage.key);
            let at = names.iter().position(|n| *n == wanted);
            let at = at.ok_or_else(|| broken(&format!("no {wanted} in it")))?;
            let size = storage.bytes();
            let mut data = Vec::new();
            zip.by_index(at)
                .map_err(|e| broken(&e))?
                .take(size)
                .read_to_end(&mut data)
                .map_err(|e| broken(&e))?;
            if data.len() as u64 != size {
                let why = format!("{wanted} has {} of {size} bytes", data.len());
                return Err(broken(&why));
            }
            storages.insert(storage.key.clone(), data);
        }
        let tensor = info
            .tensor(&storages[&storage.key])
            .map_err(|why| format!("{file}: {name}: {why}"))?;
        tensors.insert(name, tensor);
    }
    Ok(tensors)
}
