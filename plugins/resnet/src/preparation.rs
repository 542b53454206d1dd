//! How a checkpoint wants its images: what it says itself, and what a recipe says instead.

use tlkit_core::recipe::Keys;
use tlkit_core::{Error, Result};
use tlkit_image::{Interpolation, Resize, Transform};

/// Images of this side and less are taken whole.
const SMALL: usize = 64;

/// Size, cut and colours that weights were trained with.
#[derive(Clone, Debug, PartialEq)]
pub struct Preparation {
    /// What each channel's mean is taken off by, in [0, 1]: red, green, blue.
    pub mean: [f64; 3],
    /// What it is divided by then.
    pub std: [f64; 3],
    /// Height and width of the images.
    pub size: usize,
    /// What part of a resized image's shorter side is cut out; `None` where nobody says: ImageNet's 0.875, or all of a small image.
    pub crop: Option<f64>,
    /// Whether images are brought to a square whatever their shape; cut is then what `crop` says of it.
    pub squash: bool,
    /// How images are resized.
    pub interpolation: Interpolation,
    /// Who says so.
    pub origin: String,
    /// The file that says so; `None` where all of it is custom.
    pub configured: Option<&'static str>,
    /// The classifier's classes, where the configuration names them.
    pub labels: Vec<String>,
    /// transformers' name of the kind of network; empty where nobody says.
    pub model_type: String,
}

/// Files that may say it, the later one last.
pub(crate) const CONFIGURATIONS: [&str; 2] = ["config.json", "preprocessor_config.json"];

impl Preparation {
    /// ImageNet's custom for images of this side; `origin` says why it is taken.
    pub fn imagenet(size: usize, origin: &str) -> Self {
        Preparation {
            mean: [0.485, 0.456, 0.406],
            std: [0.229, 0.224, 0.225],
            size,
            crop: None,
            squash: false,
            interpolation: Interpolation::Bilinear,
            origin: origin.to_string(),
            configured: None,
            labels: Vec::new(),
            model_type: String::new(),
        }
    }

    /// Mean, std, size and resizing, where a configuration says: ours, timm's (`pretrained_cfg`) or transformers'. `name` is the checkpoint's, for
    /// errors; `classes` those of its classifier.
    pub fn configure(
        &mut self,
        name: &str,
        config: &'static str,
        text: &str,
        classes: usize,
    ) -> Result<()> {
        let file = format!("{name}/{config}");
        let json: serde_json::Value = serde_json::from_str(text)
            .map_err(|e| Error::msg(format!("{file}: not JSON ({e})")))?;
        let pretrained = json.get("pretrained_cfg").unwrap_or(&json);
        let three = |keys: [&str; 2]| -> Option<[f64; 3]> {
            let said = keys.iter().find_map(|k| pretrained.get(k))?;
            // transformers takes one number for all three.
            if let Some(number) = said.as_f64() {
                return Some([number; 3]);
            }
            let list = said.as_array()?;
            let numbers: Vec<f64> = list.iter().filter_map(|v| v.as_f64()).collect();
            numbers.try_into().ok()
        };
        if let Some(mean) = three(["mean", "image_mean"]) {
            self.mean = mean;
            self.configured = Some(config);
            self.origin = format!("the checkpoint's {config}");
        }
        if let Some(std) = three(["std", "image_std"]) {
            if std.iter().any(|s| *s <= 0.0) {
                return Err(Error::msg(format!(
                    "{file}: std is {std:?}, expected positive numbers"
                )));
            }
            self.std = std;
        }
        if json["do_normalize"] == false {
            (self.mean, self.std) = ([0.0; 3], [1.0; 3]);
            self.configured = Some(config);
            self.origin = format!("the checkpoint's {config}, which normalises nothing");
        }
        let byte = json.get("rescale_factor").and_then(|f| f.as_f64());
        if json["do_rescale"] == false || byte.is_some_and(|f| (f * 255.0 - 1.0).abs() > 1e-3) {
            eprintln!(
                "note: {file} does not bring images to 0 to 1 before they are normalised, and here they are; `source.mean` and `source.std` say otherwise"
            );
        }
        if let Some(kind) = json.get("model_type").and_then(|v| v.as_str()) {
            self.model_type = kind.to_string();
        }
        self.sides(&json, pretrained);
        // PIL's numbers, as transformers writes them.
        let interpolation = match (pretrained.get("interpolation"), json.get("resample")) {
            (Some(name), _) => Some((name.as_str().and_then(Interpolation::named), name)),
            (None, Some(n)) => match n.as_u64() {
                Some(2) => Some((Some(Interpolation::Bilinear), n)),
                Some(3) => Some((Some(Interpolation::Bicubic), n)),
                _ => Some((None, n)),
            },
            (None, None) => None,
        };
        match interpolation {
            Some((Some(interpolation), _)) => self.interpolation = interpolation,
            Some((None, said)) if !said.is_null() => eprintln!(
                "note: {file} resizes images by {said}, which is not here: `{}` is taken, unless `source.interpolation` says otherwise",
                self.interpolation.name()
            ),
            _ => {}
        }
        let names = ["labels", "label_names"].iter().find_map(|k| {
            let list = pretrained.get(k).or_else(|| json.get(k))?.as_array()?;
            list.iter()
                .map(|v| v.as_str().map(str::to_string))
                .collect::<Option<Vec<String>>>()
        });
        let by_number = || {
            let map = json.get("id2label")?.as_object()?;
            (0..map.len())
                .map(|i| Some(map.get(&i.to_string())?.as_str()?.to_string()))
                .collect::<Option<Vec<String>>>()
        };
        if let Some(labels) = names.or_else(by_number).filter(|l| l.len() == classes) {
            self.labels = labels;
        }
        Ok(())
    }

    /// Size and cut. transformers writes what images are resized to (`size`) and, where something is cut out of them, how much (`crop_size`).
    fn sides(&mut self, json: &serde_json::Value, pretrained: &serde_json::Value) {
        let possible = |s: &u64| (1..=4096).contains(s);
        let side = |v: &serde_json::Value, names: [&str; 2]| {
            v.as_u64()
                .or_else(|| names.iter().find_map(|k| v.get(k)?.as_u64()))
                .filter(possible)
        };
        let shown = ["input", "input_size"]
            .iter()
            .find_map(|k| pretrained.get(k)?.as_array()?.last()?.as_u64())
            .or_else(|| json.get("image_size")?.as_u64())
            .filter(possible);
        if let Some(shown) = shown {
            self.size = shown as usize;
        }
        let resized = json
            .get("size")
            .and_then(|v| side(v, ["shortest_edge", "height"]));
        let cuts = json.get("do_center_crop").and_then(|v| v.as_bool());
        let cut = json.get("crop_size").filter(|_| cuts != Some(false));
        let cut = cut.and_then(|v| side(v, ["height", "shortest_edge"]));
        if let Some(resized) = resized {
            let size = cut.unwrap_or(resized);
            self.size = size as usize;
            self.crop = cut
                .filter(|c| *c <= resized)
                .map(|c| crate::export::share(c as usize, resized as usize));
            // A number alone is a square to the processors of these; to others it is the shorter side.
            let processor = ["image_processor_type", "feature_extractor_type"]
                .iter()
                .find_map(|k| json.get(k)?.as_str());
            let number = json["size"].is_u64();
            let kinds = ["ViT", "DeiT", "Beit"];
            // Where no processor is named, transformers goes by the model.
            let square = number
                && match processor {
                    Some(p) => kinds.iter().any(|kind| p.starts_with(kind)),
                    None => kinds
                        .iter()
                        .any(|kind| kind.to_lowercase() == self.model_type),
                };
            self.squash = square || json["size"].get("height").is_some();
            // ConvNeXt's processor resizes to more than the number, by 0.875 where it says nothing else.
            let more = processor.is_some_and(|p| p.starts_with("ConvNext"));
            if cut.is_none() && ((number && !more) || self.squash) {
                self.crop = Some(1.0);
            }
        }
        let part = pretrained.get("crop_pct").and_then(|v| v.as_f64());
        if let Some(part) = part.filter(|c| *c > 0.1 && *c <= 1.0) {
            self.crop = Some(part);
        }
        if pretrained.get("crop_mode").and_then(|v| v.as_str()) == Some("squash") {
            self.squash = true;
        }
    }

    /// What the keys of `[source]` say, and this where they say nothing.
    pub(crate) fn read(&self, keys: &Keys) -> Transform {
        let size = keys
            .usize("image_size")
            .range(8..=1024)
            .default(
                self.size,
                match self.configured {
                    Some(_) => self.origin.clone(),
                    None => "what the architecture was made for".into(),
                },
            )
            .help("height and width of the images, in pixels")
            .read();
        let squash = keys
            .bool("squash")
            .default(self.squash, self.origin.clone())
            .help("bring images to a square whatever their shape, instead of keeping their proportions")
            .read();
        // Who squashes against the checkpoint's custom wants all of the image.
        let part = match (squash && !self.squash, self.crop) {
            (true, _) => 1.0,
            (false, Some(part)) => part,
            (false, None) if size <= SMALL => 1.0,
            (false, None) => 0.875,
        };
        let resize = keys
            .usize("resize")
            .range(8..=2048)
            .default(
                ((size as f64 / part) as usize).max(size),
                match part {
                    1.0 => "the whole image".to_string(),
                    _ => format!("image_size / {part}, {}", self.origin),
                },
            )
            .help("length of an image's shorter side before its middle is cut out; with squash, of both sides")
            .read();
        if resize < size {
            keys.error(
                keys.at(if keys.has("resize") {
                    "resize"
                } else {
                    "image_size"
                }),
                format!(
                    "images are resized to {resize} pixels, and {size} are to be cut out of them"
                ),
            )
            .help("`resize` is at least `image_size`");
        }
        let interpolation = keys
            .string("interpolation")
            .one_of(Interpolation::NAMES)
            .default(self.interpolation.name(), self.origin.clone())
            .help("how images are resized")
            .read();
        let three = |name: &str, default: [f64; 3], help: &str, positive: bool| -> [f32; 3] {
            let list = keys
                .numbers(name)
                .default(default.to_vec(), self.origin.clone())
                .help(help)
                .check(move |list| match list.len() {
                    3 if list.iter().all(|v| !positive || *v > 0.0) => Ok(()),
                    _ if positive => Err("three numbers above 0: red, green, blue".into()),
                    _ => Err("three numbers: red, green, blue".into()),
                })
                .read();
            std::array::from_fn(|i| list.get(i).copied().unwrap_or(default[i]) as f32)
        };
        Transform {
            resize: match squash {
                true => Resize::Exact(resize, resize),
                false => Resize::Shorter(resize),
            },
            interpolation: Interpolation::named(&interpolation).unwrap_or(Interpolation::Bilinear),
            crop: size,
            mean: three("mean", self.mean, "taken off each colour, in 0..1", false),
            std: three("std", self.std, "what each colour is divided by then", true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(config: &'static str, text: &str) -> Preparation {
        let mut p = Preparation::imagenet(224, "");
        p.configure("net", config, text, 2).unwrap();
        p
    }

    /// A number alone is a square to a ViT, whether its processor is named or its config.json says what it is.
    #[test]
    fn a_number_alone_goes_by_the_model_where_no_processor_is_named() {
        let squash = |model: &str| {
            let mut p = Preparation::imagenet(224, "");
            let config = format!("{{\"model_type\": {model:?}}}");
            p.configure("net", "config.json", &config, 2).unwrap();
            p.configure("net", "preprocessor_config.json", "{\"size\": 224}", 2)
                .unwrap();
            p.squash
        };
        assert!(squash("vit") && squash("deit") && squash("beit"));
        assert!(!squash("resnet") && !squash("dinov2"));
    }

    /// The length that a configuration says comes back from the share that is cut out.
    #[test]
    fn what_is_resized_to_is_what_the_configuration_says() {
        for (crop, resized) in [(384, 450), (448, 491), (224, 354), (256, 372), (224, 256)] {
            let text = format!(r#"{{"size": {resized}, "crop_size": {crop}}}"#);
            let part = of("preprocessor_config.json", &text).crop.unwrap();
            assert_eq!((f64::from(crop) / part) as i32, resized, "{crop}");
        }
    }

    #[test]
    fn one_number_stands_for_three_and_nothing_may_be_normalised() {
        let config = "preprocessor_config.json";
        let one = of(config, r#"{"image_mean": 0.5, "image_std": 0.25}"#);
        assert_eq!((one.mean, one.std), ([0.5; 3], [0.25; 3]));
        let plain = of(
            config,
            r#"{"do_normalize": false, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}"#,
        );
        assert_eq!((plain.mean, plain.std), ([0.0; 3], [1.0; 3]));
        assert!(
            plain.origin.contains("normalises nothing"),
            "{}",
            plain.origin
        );
    }

    #[test]
    fn transformers_says_what_is_resized_and_what_is_cut() {
        let config = "preprocessor_config.json";
        let cut = of(
            config,
            r#"{"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}, "do_center_crop": true, "resample": 3}"#,
        );
        assert_eq!((cut.size, cut.crop, cut.squash), (224, Some(0.875), false));
        assert_eq!(cut.interpolation, Interpolation::Bicubic);
        let squashed = of(
            config,
            r#"{"size": {"height": 224, "width": 224}, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "resample": 2}"#,
        );
        assert_eq!((squashed.size, squashed.squash), (224, true));
        assert_eq!(
            (squashed.mean, squashed.configured),
            ([0.5; 3], Some(config))
        );
        let old = of(
            config,
            r#"{"size": 384, "crop_size": 224, "do_center_crop": false}"#,
        );
        // Nothing is cut out: the shorter side is 384.
        assert_eq!((old.size, old.crop, old.squash), (384, Some(1.0), false));
        let resnet = of(
            config,
            r#"{"size": {"shortest_edge": 224}, "crop_pct": 0.875}"#,
        );
        assert_eq!((resnet.size, resnet.crop), (224, Some(0.875)));
    }

    /// As AutoImageProcessor has them: `size = 224` is a height and a width to some.
    #[test]
    fn a_number_alone_is_a_square_to_the_processors_of_vit() {
        let config = "preprocessor_config.json";
        let read = |text: &str| {
            let p = of(config, text);
            (p.size, p.crop, p.squash)
        };
        for named in [
            r#""feature_extractor_type": "ViTFeatureExtractor""#,
            r#""image_processor_type": "ViTImageProcessor""#,
            r#""image_processor_type": "DeiTImageProcessor""#,
            r#""feature_extractor_type": "BeitFeatureExtractor""#,
        ] {
            let whole = format!(r#"{{"size": 224, {named}}}"#);
            assert_eq!(read(&whole), (224, Some(1.0), true), "{named}");
        }
        // One that cuts does so after; the number is a shorter side to others.
        let cut =
            r#"{"size": 256, "crop_size": 224, "image_processor_type": "DeiTImageProcessor"}"#;
        assert_eq!(read(cut), (224, Some(0.875), true));
        let square = r#"{"size": {"height": 256, "width": 256}, "crop_size": 224}"#;
        assert_eq!(read(square), (224, Some(0.875), true));
        let bit = r#"{"size": 224, "image_processor_type": "BitImageProcessor"}"#;
        assert_eq!(read(bit), (224, Some(1.0), false));
        let part = r#"{"size": 224, "crop_pct": 0.95, "feature_extractor_type": "ConvNextFeatureExtractor"}"#;
        assert_eq!(read(part), (224, Some(0.95), false));
        let convnext = r#"{"size": 224, "feature_extractor_type": "ConvNextFeatureExtractor"}"#;
        assert_eq!(read(convnext), (224, None, false));
    }

    #[test]
    fn timm_and_our_own_say_the_cut() {
        let timm = of(
            "config.json",
            r#"{"architecture": "resnet50", "pretrained_cfg": {"input_size": [3, 176, 176], "crop_pct": 0.95, "interpolation": "bicubic",
                "mean": [0.1, 0.2, 0.3], "std": [1, 1, 1], "label_names": ["a", "b"]}}"#,
        );
        assert_eq!((timm.size, timm.crop), (176, Some(0.95)));
        assert_eq!(timm.labels, ["a", "b"]);
        let squash = of(
            "config.json",
            r#"{"pretrained_cfg": {"input_size": [3, 32, 32], "crop_mode": "squash"}}"#,
        );
        assert!(squash.squash);
    }
}
