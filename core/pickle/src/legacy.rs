//! Files before PyTorch 1.6 (`_legacy_save` in its `serialization.py`): five pickles, one after the other, and then the storages, each the number of its
//! elements in eight bytes and the elements. Most checkpoints of before the middle of 2020 are such files.

use std::collections::BTreeMap;

use candle_core::Tensor;

use crate::machine::Machine;
use crate::{broken, described};

/// The first pickle, of the number 0x1950a86a20f9469cfc6c, and the second, of the format's version 1001, in protocol 2.
const MAGIC: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.";

pub(crate) fn read(file: &str, bytes: &[u8]) -> Result<BTreeMap<String, Tensor>, String> {
    let broken = |e: &dyn std::fmt::Display| broken(file, e);
    let Some(rest) = bytes.strip_prefix(MAGIC) else {
        return Err(broken(&"a pickle that PyTorch did not write"));
    };
    let said = |why: String| format!("{file}: {why}");
    // Sizes of C's types, and that numbers begin with their lowest byte: nobody has written other files.
    let mut machine = Machine::new(rest);
    machine.run().map_err(said)?;
    let rest = &rest[machine.at()..];
    let mut machine = Machine::new(rest);
    let root = machine.run().map_err(said)?;
    let state = described(file, &machine, &root)?;
    let rest = &rest[machine.at()..];
    let mut keys = Machine::new(rest);
    let list = keys.run().map_err(said)?;
    let list = keys.texts(&list);
    let list = list.ok_or_else(|| broken(&"no list of its storages in it"))?;
    let mut rest = &rest[keys.at()..];

    let mut storages: BTreeMap<&str, &[u8]> = BTreeMap::new();
    for key in &list {
        let Some(dtype) = machine.storage_of(key) else {
            return Err(broken(&format!("nothing says what the storage {key} is")));
        };
        let early = || broken(&"it ends too early");
        let count = rest.split_off(..8).ok_or_else(early)?;
        let count = u64::from_le_bytes(count.try_into().expect("eight bytes"));
        let length = usize::try_from(count).ok();
        let length = length.and_then(|n| n.checked_mul(dtype.size_in_bytes()));
        let data = length.and_then(|n| rest.split_off(..n));
        storages.insert(key, data.ok_or_else(early)?);
    }
    let tensor = |(name, info): (String, std::rc::Rc<crate::Info>)| {
        let key = info.storage.key.as_str();
        let data =
            *(storages.get(key)).ok_or_else(|| broken(&format!("no storage {key} in it")))?;
        if data.len() as u64 != info.storage.bytes() {
            return Err(broken(&format!(
                "the storage of {name} has another length than it says"
            )));
        }
        match info.tensor(data) {
            Ok(tensor) => Ok((name, tensor)),
            Err(why) => Err(format!("{file}: {name}: {why}")),
        }
    };
    state.into_iter().map(tensor).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A dictionary of one tensor `w` of (2, 3), in a storage `7` of six numbers; `after` stands behind what a zip's pickle says of a storage.
    fn program(after: &[u8]) -> Vec<u8> {
        [
            b"\x80\x02}q\x00U\x01wctorch._utils\n_rebuild_tensor\n(".as_slice(),
            b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x007X\x03\x00\x00\x00cpuK\x06",
            after,
            b"tQK\x00K\x02K\x03\x86K\x03K\x01\x86tRs.",
        ]
        .concat()
    }

    fn file(program: &[u8], keys: &[u8], count: u64) -> Vec<u8> {
        let numbers: Vec<u8> = (0..6u8).flat_map(|i| f32::from(i).to_le_bytes()).collect();
        [
            MAGIC,
            b"\x80\x02}.",
            program,
            keys,
            &count.to_le_bytes(),
            &numbers,
        ]
        .concat()
    }

    const KEYS: &[u8] = b"\x80\x02]q\x00X\x01\x00\x00\x007a.";

    fn error(bytes: &[u8]) -> String {
        read("old.bin", bytes).expect_err("it is broken")
    }

    /// A training script puts its best accuracy, a tensor, beside its weights.
    #[test]
    fn the_weights_are_those_under_their_name_and_not_what_stands_beside_them() {
        let whole = program(b"N");
        let tensor = &whole[8..whole.len() - 2];
        let outer = [
            b"\x80\x02}U\x04best".as_slice(),
            tensor,
            b"sU\x0astate_dict}U\x01w",
            tensor,
            b"ss.",
        ]
        .concat();
        let tensors = crate::read("old.bin", &file(&outer, KEYS, 6)).expect("it is whole");
        assert_eq!(tensors.keys().collect::<Vec<_>>(), ["w"]);
    }

    /// Python 2 calls an ordered dictionary with a list of pairs, `[[k, v], ...]`; an empty one with an empty list.
    #[test]
    fn a_dictionary_that_python_2_wrote_is_read() {
        let whole = program(b"N");
        let tensor = &whole[8..whole.len() - 2];
        let ordered = |inside: &[u8]| {
            let start = b"\x80\x02ccollections\nOrderedDict\nq\x00]q\x01(".as_slice();
            file(&[start, inside, b"e\x85q\x03R."].concat(), KEYS, 6)
        };
        let pair = |key: &[u8]| [b"]q\x02(", key, tensor, b"e"].concat();
        let two = [pair(b"U\x01w"), pair(b"U\x01v")].concat();
        let tensors = crate::read("old.bin", &ordered(&two)).expect("it is whole");
        assert_eq!(tensors.keys().collect::<Vec<_>>(), ["v", "w"]);
        for (inside, words) in [
            (b"".as_slice(), "no dictionary of tensors in it"),
            (b"K\x01", "no list of pairs"),
            (b"]q\x02(K\x01e", "no list of pairs"),
        ] {
            let why = error(&ordered(inside));
            assert!(why.contains(words), "{words}: {why}");
        }
        // It is whole, and not as it is wanted.
        let net = [b"\x80\x02}U\x03net}U\x01w".as_slice(), tensor, b"ss."].concat();
        let why = error(&file(&net, KEYS, 6));
        assert!(why.contains("nor under `state_dict`"), "{why}");
        assert!(!why.contains("not a whole"), "{why}");
    }

    #[test]
    fn tensors_of_an_old_file_are_read() {
        let whole = file(&program(b"N"), KEYS, 6);
        let tensors = crate::read("old.bin", &whole).expect("it is whole");
        let w = tensors["w"].to_vec2::<f32>().expect("numbers");
        assert_eq!(w, [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]);
        // Wherever it is cut off, that is said.
        for n in 0..whole.len() {
            let why = error(&whole[..n]);
            assert!(why.starts_with("old.bin: "), "{n}: {why}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (bytes, words) in [
            (file(&program(b"N"), KEYS, 5), "another length"),
            (file(&program(b"N"), KEYS, u64::MAX), "ends too early"),
            (file(&program(b"N"), b"\x80\x02].", 6), "no storage 7"),
            (
                file(&program(b"N"), b"\x80\x02}.", 6),
                "no list of its storages",
            ),
            (
                file(&program(b"N"), b"\x80\x02]U\x018a.", 6),
                "nothing says what the storage 8 is",
            ),
            // A view of another storage, of before 0.4.
            (
                file(&program(b"K\x01K\x00K\x06\x87"), KEYS, 6),
                "not described as PyTorch does",
            ),
            (
                b"\x80\x04K\x01.".to_vec(),
                "a pickle that PyTorch did not write",
            ),
        ] {
            let why = error(&bytes);
            assert!(why.contains(words), "{words}: {why}");
        }
    }
}
