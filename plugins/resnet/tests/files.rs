//! Files of weights: PyTorch's archives, hostile ones, half ones.

use std::io::Write;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use tlkit_core::data::{Blob, Found};
use tlkit_core::nn::{Scope, Store};
use tlkit_resnet::{Architecture, Checkpoint, Network};

/// A zip archive with these entries, stored, as PyTorch writes it.
fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in entries {
        zip.start_file(*name, options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn file(folder: &Path, name: &str, bytes: &[u8]) -> Found {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    Found::File(Blob::Path(path))
}

fn error(folder: &Path, bytes: &[u8]) -> String {
    let found = file(folder, "a.pth", bytes);
    Checkpoint::open("a.pth", &found).err().unwrap().to_string()
}

/// What `pickle.dumps` makes of an object whose `__reduce__` is `(os.system, ("touch .../run",))`, protocol 2.
fn hostile(command: &str) -> Vec<u8> {
    let mut p = b"\x80\x02cposix\nsystem\nq\x00X".to_vec();
    p.extend((command.len() as u32).to_le_bytes());
    p.extend(command.as_bytes());
    p.extend(b"q\x01\x85q\x02Rq\x03.");
    p
}

#[test]
fn a_hostile_pickle_is_refused_and_never_executed() {
    let folder = tempfile::tempdir().unwrap();
    let witness = folder.path().join("run");
    let pickle = hostile(&format!("touch {}", witness.display()));
    let text = error(folder.path(), &archive(&[("archive/data.pkl", &pickle)]));
    assert!(
        text.contains("calls posix.system") && text.contains("nothing of it was executed"),
        "{text}"
    );
    assert!(text.contains("safetensors"), "{text}");
    assert!(!witness.exists());
    // The instructions that call by other ways.
    for (code, name) in [
        (b'i', "0x69"),
        (b'o', "0x6f"),
        (0x81, "0x81"),
        (0x92, "0x92"),
        (0x82, "0x82"),
    ] {
        let program = [b"\x80\x02cos\nsystem\n)".as_slice(), &[code, b'.']].concat();
        let text = error(folder.path(), &archive(&[("archive/data.pkl", &program)]));
        assert!(
            text.contains(name) && text.contains("nothing of it was executed"),
            "{text}"
        );
    }
    assert!(!witness.exists());
}

#[test]
fn broken_archives_say_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let pickle = |program: &[u8]| archive(&[("archive/data.pkl", program)]);
    for (bytes, expected) in [
        (b"PK\x03\x04half".to_vec(), "not a whole PyTorch file"),
        (archive(&[("archive/version", b"3")]), "no data.pkl"),
        (
            b"\x80\x02}.".to_vec(),
            "a pickle that PyTorch did not write",
        ),
        (pickle(b"\x80\x02}"), "ends in the middle"),
        (
            pickle(b"\x80\x02X\xff\xff\xff\xffabc"),
            "ends in the middle",
        ),
        (pickle(b"\x80\x02R."), "empty stack"),
        (pickle(b"\x80\x02h\x07."), "never kept"),
        (pickle(b"\x80\x02}K\x01a."), "no list"),
        (pickle(b"\x80\x02}."), "no dictionary of tensors"),
        (
            pickle(b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R."),
            "not described as PyTorch does",
        ),
        (
            pickle(&[b"\x80\x02)".as_slice(), &vec![0x85; 5 << 20], b"."].concat()),
            "grows without end",
        ),
        (Vec::new(), "neither a whole safetensors file"),
    ] {
        let text = error(folder.path(), &bytes);
        assert!(text.contains(expected), "{text}");
    }
}

/// Deeper than any stack, and dropped without one.
#[test]
fn nesting_without_end_overflows_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let program = [b"\x80\x02)".as_slice(), &vec![0x85; 1 << 20], b"."].concat();
    let text = error(folder.path(), &archive(&[("archive/data.pkl", &program)]));
    assert!(text.contains("no dictionary of tensors"), "{text}");
}

/// One tensor `w` of 2 x 3 in a storage of six numbers, with this shape and stride instead.
fn one_tensor(shape: (u8, u8), stride: (u8, u8), offset: u8) -> Vec<u8> {
    let mut p = b"\x80\x02}q\x00X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n(".to_vec();
    p.extend(b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x06tQ");
    p.extend([b'K', offset, b'K', shape.0, b'K', shape.1, 0x86]);
    p.extend([
        b'K', stride.0, b'K', stride.1, 0x86, 0x89, b'}', b't', b'R', b's', b'.',
    ]);
    p
}

#[test]
fn a_tensor_outside_its_storage_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let data: Vec<u8> = (0..6).flat_map(|i| (i as f32).to_le_bytes()).collect();
    let whole = |p: &[u8]| archive(&[("a/data.pkl", p), ("a/data/0", &data)]);
    for (shape, stride, offset) in [
        ((2, 3), (3, 1), 1),
        ((3, 3), (3, 1), 0),
        ((200, 200), (0, 0), 0),
    ] {
        let text = error(folder.path(), &whole(&one_tensor(shape, stride, offset)));
        assert!(text.contains("outside its storage"), "{text}");
    }
    // Whole, but no network: read, transposed too, and refused for what it is.
    for (shape, stride) in [((2, 3), (3, 1)), ((3, 2), (1, 3))] {
        let text = error(folder.path(), &whole(&one_tensor(shape, stride, 0)));
        assert!(text.contains("not a ResNet"), "{text}");
    }
    let half = archive(&[
        ("a/data.pkl", &one_tensor((2, 3), (3, 1), 0)),
        ("a/data/0", &data[..20]),
    ]);
    let text = error(folder.path(), &half);
    assert!(text.contains("has 20 of 24 bytes"), "{text}");
    let absent = archive(&[("a/data.pkl", &one_tensor((2, 3), (3, 1), 0))]);
    assert!(error(folder.path(), &absent).contains("no a/data/0"));
}

fn python() -> Option<PathBuf> {
    let python = std::env::var_os("TLKIT_PYTHON").map_or_else(|| "python3".into(), PathBuf::from);
    let has = std::process::Command::new(&python)
        .args(["-c", "import torch, torchvision"])
        .output();
    match has {
        Ok(out) if out.status.success() => Some(python),
        _ => {
            println!(
                "skipped: no torchvision for {} (set TLKIT_PYTHON)",
                python.display()
            );
            None
        }
    }
}

fn load(checkpoint: &Checkpoint) -> (Store, Network) {
    let store = Store::new(&Device::Cpu, DType::F32, 0);
    let weights = checkpoint.weights("model");
    let scope: Scope<'_> = store.scope("model").with_weights(weights.clone());
    let network = Network::new(&scope, &checkpoint.architecture).unwrap();
    network.classifier(&scope, checkpoint.classes).unwrap();
    let report = weights.finish().unwrap();
    assert_eq!(report.unexpected, Vec::<String>::new());
    drop(scope);
    (store, network)
}

#[test]
fn files_that_torch_saves_are_read() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let script = r#"
import sys, torch, torchvision
folder = sys.argv[1]
torch.manual_seed(0)
m = torchvision.models.resnet18(num_classes=7)
torch.save(m.state_dict(), folder + "/plain.pth")
torch.save({"epoch": 3, "state_dict": {"module." + k: v for k, v in m.half().state_dict().items()}}, folder + "/wrapped.pt")
v = torchvision.models.vgg16_bn(num_classes=3).features.state_dict()
torch.save({"features." + k: v for k, v in v.items()}, folder + "/vgg.pth")
torch.save({k: v.t() if v.dim() == 2 else v for k, v in torchvision.models.resnet18(num_classes=512).state_dict().items()}, folder + "/strided.pth")
print(float(m.float().layer4[1].conv2.weight.sum()))
"#;
    let out = std::process::Command::new(python)
        .args(["-c", script])
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    let sum: f64 = String::from_utf8(out.stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    for name in ["plain.pth", "wrapped.pt", "strided.pth"] {
        let found = Found::File(Blob::Path(folder.path().join(name)));
        let checkpoint = Checkpoint::open(name, &found).unwrap();
        assert_eq!(checkpoint.architecture.name(), Some("resnet18"));
        assert_eq!(
            checkpoint.classes,
            if name == "strided.pth" { 512 } else { 7 }
        );
        let (store, _) = load(&checkpoint);
        let w = store.get("model.layer4.1.conv2.weight").unwrap().detached();
        let got = w
            .to_dtype(DType::F64)
            .unwrap()
            .sum_all()
            .unwrap()
            .to_scalar::<f64>()
            .unwrap();
        if name != "strided.pth" {
            assert!(
                (got - sum).abs() < 0.05 * sum.abs().max(1.0),
                "{got} against {sum}"
            );
        }
    }
    let found = Found::File(Blob::Path(folder.path().join("vgg.pth")));
    let checkpoint = Checkpoint::open("vgg.pth", &found).unwrap();
    let expected = Architecture::Vgg {
        depth: 16,
        norm: true,
        dense: false,
    };
    assert_eq!(checkpoint.architecture, expected);
}

/// What a network of digits saves says which it is, and loads with the same weights.
#[test]
fn the_small_networks_are_known_by_their_tensors() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["shallow_cnn", "shallow_cnn_bn", "lenet"] {
        let architecture = Architecture::named(name).unwrap();
        let store = Store::new(&Device::Cpu, DType::F32, 3);
        let network = Network::new(&store.scope("model"), &architecture).unwrap();
        network.classifier(&store.scope("model"), 10).unwrap();
        let tensors: std::collections::HashMap<String, Tensor> = (store.all().iter())
            .map(|p| (p.name()["model.".len()..].to_string(), p.detached()))
            .collect();
        let path = folder.path().join(format!("{name}.safetensors"));
        candle_core::safetensors::save(&tensors, &path).unwrap();
        let checkpoint = Checkpoint::open(name, &Found::File(Blob::Path(path))).unwrap();
        assert_eq!(checkpoint.architecture, architecture, "{name}");
        assert_eq!(checkpoint.classes, 10, "{name}");
        let (loaded, _) = load(&checkpoint);
        for (one, other) in store.all().iter().zip(loaded.all()) {
            assert_eq!(one.name(), other.name());
            let values = |t: Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert!(
                values(one.detached()) == values(other.detached()),
                "{}",
                one.name()
            );
        }
    }
}

#[test]
fn names_of_transformers_load_as_torchvisions() {
    let store = Store::new(&Device::Cpu, DType::F32, 0);
    let small = Architecture::Resnet {
        blocks: vec![1, 1],
        bottleneck: true,
    };
    let network = Network::new(&store.scope("m"), &small).unwrap();
    network.classifier(&store.scope("m"), 5).unwrap();
    let theirs = |name: &str| {
        let name = name.strip_prefix("m.").unwrap();
        let Some(rest) = name.strip_prefix("layer") else {
            return match name.split_once('.').unwrap() {
                ("conv1", rest) => format!("resnet.embedder.embedder.convolution.{rest}"),
                ("bn1", rest) => format!("resnet.embedder.embedder.normalization.{rest}"),
                (_, rest) => format!("classifier.1.{rest}"),
            };
        };
        let words: Vec<&str> = rest.split('.').collect();
        let at = format!(
            "resnet.encoder.stages.{}.layers.{}",
            words[0].parse::<usize>().unwrap() - 1,
            words[1]
        );
        match words[2] {
            "downsample" if words[3] == "0" => format!("{at}.shortcut.convolution.{}", words[4]),
            "downsample" => format!("{at}.shortcut.normalization.{}", words[4]),
            w => {
                let i = w[w.len() - 1..].parse::<usize>().unwrap() - 1;
                let kind = if w.starts_with("conv") {
                    "convolution"
                } else {
                    "normalization"
                };
                format!("{at}.layer.{i}.{kind}.{}", words[3])
            }
        }
    };
    let tensors: std::collections::HashMap<String, Tensor> = store
        .all()
        .iter()
        .map(|p| (theirs(p.name()), p.detached()))
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    candle_core::safetensors::save(&tensors, &path).unwrap();
    let config =
        r#"{"model_type": "resnet", "image_mean": [0.1, 0.2, 0.3], "image_std": [1.0, 2.0, 3.0]}"#;
    std::fs::write(folder.path().join("preprocessor_config.json"), config).unwrap();
    let checkpoint = Checkpoint::open("x", &Found::Folder(folder.path().to_path_buf())).unwrap();
    assert_eq!(checkpoint.architecture, small);
    assert_eq!(
        (checkpoint.preparation.mean, checkpoint.preparation.std),
        ([0.1, 0.2, 0.3], [1.0, 2.0, 3.0])
    );
    let (loaded, _) = load(&checkpoint);
    for p in store.all() {
        let name = p.name().replacen("m.", "model.", 1);
        let other = loaded.get(&name).unwrap_or_else(|| panic!("no {name}"));
        let flat = |t: Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(flat(p.detached()), flat(other.detached()), "{name}");
    }
}

#[test]
fn a_folder_without_weights_says_which_are_looked_for() {
    let folder = tempfile::tempdir().unwrap();
    let found = Found::Folder(folder.path().to_path_buf());
    let text = Checkpoint::open("x", &found).err().unwrap().to_string();
    assert!(
        text.contains("has no weights") && text.contains("model.safetensors"),
        "{text}"
    );
}
