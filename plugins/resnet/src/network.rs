//! Networks by architecture: which stages, how wide the features, what the classifier is called.

use std::sync::Arc;

use candle_core::DType;
use tlkit_core::nn::{Adaptable, Flow, Linear, Param, Pass, Pullback, Scope, Stage};
use tlkit_core::task::Encoder;
use tlkit_core::{Error, Result};
use tlkit_ops::pool::{self, Window};

use crate::node::Node;
use crate::stage::Piece;
use crate::{inception, lenet, resnet, shallow, vgg};

/// A network's shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// He et al. 2015, for images of 224 pixels: torchvision's `resnet18` and so on, the stride in the 3 x 3 convolution.
    Resnet {
        /// Blocks in each of up to four layers.
        blocks: Vec<usize>,
        /// Whether a block narrows, convolves, widens.
        bottleneck: bool,
    },
    /// He et al. 2015, section 4.2, for images of 32 pixels, with shortcut A: 6 n + 2 layers.
    Cifar {
        /// Blocks in each of three layers.
        blocks: usize,
        /// Channels of the first layer; 16 in the paper.
        width: usize,
    },
    /// Simonyan and Zisserman 2014.
    Vgg {
        /// 16 or 19.
        depth: usize,
        /// Whether batch norm follows each convolution.
        norm: bool,
        /// Whether the two dense layers before the classifier belong to the encoder; without them the features are the last
        /// convolution's, pooled.
        dense: bool,
    },
    /// Szegedy et al. 2015, torchvision's `inception_v3`, without its auxiliary head.
    Inception,
    /// Two convolutions and a dense layer for digits of 28 pixels.
    Shallow {
        /// Whether batch norm follows each convolution.
        norm: bool,
    },
    /// SHOT's LeNet for digits of 28 pixels, a normalised bottleneck of 256 last.
    Lenet,
}

impl Architecture {
    /// The names that [`Architecture::named`] knows.
    pub const NAMES: [&'static str; 18] = [
        "resnet18",
        "resnet34",
        "resnet50",
        "resnet101",
        "resnet152",
        "cifar_resnet14x2",
        "cifar_resnet20",
        "cifar_resnet32",
        "cifar_resnet44",
        "cifar_resnet56",
        "vgg16",
        "vgg19",
        "vgg16_bn",
        "vgg19_bn",
        "inception_v3",
        "shallow_cnn",
        "shallow_cnn_bn",
        "lenet",
    ];

    /// By torchvision's name; `cifar_` before the small ones, `x2` behind one that is twice as wide.
    pub fn named(name: &str) -> Option<Self> {
        let resnet = |blocks: [usize; 4], bottleneck| Architecture::Resnet {
            blocks: blocks.to_vec(),
            bottleneck,
        };
        let cifar = |blocks, width| Architecture::Cifar { blocks, width };
        let vgg = |depth, norm| Architecture::Vgg {
            depth,
            norm,
            dense: true,
        };
        Some(match name {
            "resnet18" => resnet([2, 2, 2, 2], false),
            "resnet34" => resnet([3, 4, 6, 3], false),
            "resnet50" => resnet([3, 4, 6, 3], true),
            "resnet101" => resnet([3, 4, 23, 3], true),
            "resnet152" => resnet([3, 8, 36, 3], true),
            "cifar_resnet14x2" => cifar(2, 32),
            "cifar_resnet20" => cifar(3, 16),
            "cifar_resnet32" => cifar(5, 16),
            "cifar_resnet44" => cifar(7, 16),
            "cifar_resnet56" => cifar(9, 16),
            "vgg16" => vgg(16, false),
            "vgg19" => vgg(19, false),
            "vgg16_bn" => vgg(16, true),
            "vgg19_bn" => vgg(19, true),
            "inception_v3" => Architecture::Inception,
            "shallow_cnn" => Architecture::Shallow { norm: false },
            "shallow_cnn_bn" => Architecture::Shallow { norm: true },
            "lenet" => Architecture::Lenet,
            _ => return None,
        })
    }

    /// Its name, where it is a whole one of [`Architecture::NAMES`].
    pub fn name(&self) -> Option<&'static str> {
        Self::NAMES
            .into_iter()
            .find(|n| Self::named(n).as_ref() == Some(self))
    }

    /// Height and width of the images it was made for.
    pub fn size(&self) -> usize {
        match self {
            Architecture::Cifar { .. } => 32,
            Architecture::Inception => 299,
            Architecture::Shallow { .. } | Architecture::Lenet => 28,
            _ => 224,
        }
    }

    /// The shape of each stage's output for images of this side: `[height, width, channels]`, or `[values]` behind a dense layer. `None`
    /// where an image is too small for it.
    pub fn shapes(&self, side: usize) -> Option<Vec<(String, Vec<usize>)>> {
        // PyTorch's: with enough padding a stride of two halves upwards, without padding windows have to fit.
        let half = |s: usize| s.div_ceil(2);
        let valid =
            |s: usize, kernel: usize, stride: usize| Some((s.checked_sub(kernel)?) / stride + 1);
        let map = |name: String, s: usize, c: usize| (name, vec![s, s, c]);
        let mut out = Vec::new();
        if side == 0 {
            return None;
        }
        match self {
            Architecture::Resnet { blocks, bottleneck } => {
                let mut s = half(half(side));
                out.push(map("stem".into(), s, 64));
                for i in 0..blocks.len() {
                    if i > 0 {
                        s = half(s);
                    }
                    let c = (64 << i) * if *bottleneck { 4 } else { 1 };
                    out.push(map(format!("layer{}", i + 1), s, c));
                }
            }
            Architecture::Cifar { width, .. } => {
                let mut s = side;
                out.push(map("stem".into(), s, *width));
                for (i, c) in [*width, 2 * width, 4 * width].into_iter().enumerate() {
                    if i > 0 {
                        s = half(s);
                    }
                    out.push(map(format!("layer{}", i + 1), s, c));
                }
            }
            Architecture::Vgg { dense, .. } => {
                let mut s = side;
                for (i, c) in [64, 128, 256, 512, 512].into_iter().enumerate() {
                    s /= 2;
                    out.push(map(format!("block{}", i + 1), s, c));
                }
                if s == 0 {
                    return None;
                }
                if *dense {
                    for name in ["fc6", "fc6.dropout", "fc7", "fc7.dropout"] {
                        out.push((name.into(), vec![4096]));
                    }
                }
            }
            Architecture::Inception => {
                let s = valid(valid(side, 3, 2)?, 3, 1)?;
                let s = valid(valid(valid(s, 3, 2)?, 3, 1)?, 3, 2)?;
                out.push(map("stem".into(), s, 192));
                out.push(map("mixed5".into(), s, 288));
                let s = valid(s, 3, 2)?;
                out.push(map("mixed6".into(), s, 768));
                let s = valid(s, 3, 2).filter(|&s| s > 0)?;
                out.push(map("mixed7".into(), s, 2048));
            }
            Architecture::Shallow { .. } => {
                let s = valid(side, 3, 1)?;
                out.push(map("conv1".into(), s, 32));
                let s = valid(s, 3, 1)? / 2;
                if s == 0 {
                    return None;
                }
                out.push(map("conv2".into(), s, 64));
                out.push(map("dropout".into(), s, 64));
                out.push(("fc1".into(), vec![shallow::WIDTH]));
            }
            Architecture::Lenet => {
                let mut s = side;
                for (name, c) in ["conv1", "conv2"].into_iter().zip(lenet::CHANNELS) {
                    s = valid(s, 5, 1)? / 2;
                    out.push(map(name.into(), s, c));
                }
                if s == 0 {
                    return None;
                }
                out.push(map("dropout2".into(), s, lenet::CHANNELS[1]));
                for name in ["fc1", "dropout"] {
                    out.push((name.into(), vec![lenet::WIDTH]));
                }
            }
        }
        Some(out)
    }

    /// The same network up to a stage; the names of the stages where it could end, where that is none of them.
    pub fn until(&self, stage: &str) -> std::result::Result<Self, Vec<String>> {
        let ends: Vec<String> = match self {
            Architecture::Resnet { blocks, .. } => {
                (1..=blocks.len()).map(|i| format!("layer{i}")).collect()
            }
            Architecture::Cifar { .. } => vec!["layer3".into()],
            Architecture::Vgg { dense: true, .. } => vec!["block5".into(), "fc7".into()],
            Architecture::Vgg { dense: false, .. } => vec!["block5".into()],
            Architecture::Inception => vec!["mixed7".into()],
            Architecture::Shallow { .. } => vec!["fc1".into()],
            Architecture::Lenet => vec!["dropout".into()],
        };
        let Some(at) = ends.iter().position(|e| e == stage) else {
            return Err(ends);
        };
        Ok(match self {
            Architecture::Resnet { blocks, bottleneck } => Architecture::Resnet {
                blocks: blocks[..=at].to_vec(),
                bottleneck: *bottleneck,
            },
            Architecture::Vgg { depth, norm, dense } => Architecture::Vgg {
                depth: *depth,
                norm: *norm,
                dense: *dense && at == 1,
            },
            whole => whole.clone(),
        })
    }

    /// The stages of a pooling by its name, to features of this width; none where a dense layer is last.
    pub fn pooling(&self, name: &str, width: usize) -> Vec<Arc<dyn Stage>> {
        if self.ends_dense() {
            return Vec::new();
        }
        let node = match name {
            "flatten" => Node::Flatten,
            "global-max-pool" => return vec![Arc::new(GlobalMax(width))],
            _ => Node::Chain(vec![Node::Adaptive(1, 1), Node::Flatten]),
        };
        vec![Arc::new(Piece::new(name, node, format!("({width})")))]
    }

    /// Whether its last stage is a dense layer, whose output is the features as it is.
    pub fn ends_dense(&self) -> bool {
        matches!(
            self,
            Architecture::Vgg { dense: true, .. }
                | Architecture::Shallow { .. }
                | Architecture::Lenet
        )
    }

    /// Whether it is `whole`, or the beginning of it.
    pub fn is_part_of(&self, whole: &Self) -> bool {
        match (self, whole) {
            (
                Architecture::Resnet { blocks, bottleneck },
                Architecture::Resnet {
                    blocks: all,
                    bottleneck: of,
                },
            ) => bottleneck == of && all.starts_with(blocks),
            (
                Architecture::Vgg { depth, norm, dense },
                Architecture::Vgg {
                    depth: d,
                    norm: n,
                    dense: whole,
                },
            ) => depth == d && norm == n && (*whole || !dense),
            (one, other) => one == other,
        }
    }

    /// Its family's name.
    pub fn family(&self) -> &'static str {
        match self {
            Architecture::Resnet { .. } | Architecture::Cifar { .. } => "ResNet",
            Architecture::Vgg { .. } => "VGG",
            Architecture::Inception => "Inception",
            Architecture::Shallow { .. } => "small convolutional network",
            Architecture::Lenet => "LeNet",
        }
    }

    /// For a sentence: `resnet18`, or what it is a part of.
    pub fn words(&self) -> String {
        if let Some(name) = self.name() {
            return name.to_string();
        }
        let whole = Self::NAMES
            .into_iter()
            .find(|n| Self::named(n).is_some_and(|whole| self.is_part_of(&whole)));
        match (self, whole) {
            (Architecture::Resnet { blocks, .. }, Some(name)) => {
                format!("{name} up to layer{}", blocks.len())
            }
            (Architecture::Vgg { .. }, Some(name)) => format!("{name} without its dense layers"),
            (Architecture::Cifar { blocks, width }, _) => {
                format!(
                    "a ResNet for small images with {blocks} blocks a layer, {width} channels wide"
                )
            }
            (Architecture::Resnet { blocks, .. }, None) => {
                format!("a ResNet with {blocks:?} blocks")
            }
            (other, None) => format!("a {}", other.family()),
            (_, Some(name)) => name.to_string(),
        }
    }

    /// Whether timm has it, by the same name.
    pub fn is_timms(&self) -> bool {
        match self {
            Architecture::Cifar { .. } | Architecture::Shallow { .. } | Architecture::Lenet => {
                false
            }
            Architecture::Vgg { dense, .. } => *dense,
            whole => whole.name().is_some(),
        }
    }

    /// Whether it normalises batches.
    pub fn has_batch_norm(&self) -> bool {
        !matches!(
            self,
            Architecture::Vgg { norm: false, .. } | Architecture::Shallow { norm: false }
        )
    }

    /// What other libraries call its classifier.
    pub fn classifier(&self) -> &'static str {
        match self {
            Architecture::Cifar { .. } => "linear",
            Architecture::Vgg { .. } => "classifier.6",
            Architecture::Shallow { .. } | Architecture::Lenet => "fc2",
            _ => "fc",
        }
    }
}

/// An image network up to its features. Images are `(batch, height, width, 3)`: channels last, here and in every activation.
///
/// The stages are `stem`, `layer1` .. `layer4` for a ResNet (three layers for 32 pixels), `block1` .. `block5`, `fc6`, `fc7` for
/// VGG (their dropouts between), `stem`, `mixed5`, `mixed6`, `mixed7` for Inception, `conv1`, `conv2`, `dropout`, `fc1` for the small
/// network for digits, `conv1`, `conv2`, `dropout2`, `fc1`, `dropout` for LeNet.
pub struct Network {
    stages: Vec<Arc<dyn Stage>>,
    width: usize,
    architecture: Architecture,
}

/// A stage that knows how large its output is.
struct Measured {
    stage: Arc<dyn Stage>,
    output: String,
}

impl Stage for Measured {
    fn name(&self) -> &str {
        self.stage.name()
    }

    fn params(&self) -> Vec<Param> {
        self.stage.params()
    }

    fn forward(&self, x: &Flow, pass: &Pass) -> Result<Flow> {
        self.stage.forward(x, pass)
    }

    fn record(&self, x: &Flow, pass: &Pass) -> Result<(Flow, Box<dyn Pullback>)> {
        self.stage.record(x, pass)
    }

    fn linears(&self) -> Vec<Adaptable> {
        self.stage.linears()
    }

    fn output(&self) -> String {
        self.output.clone()
    }
}

/// How features `(batch, width)` are made of a map `(batch, height, width, channels)`, by the names that recipes use.
pub const POOLINGS: [&str; 3] = ["global-average-pool", "global-max-pool", "flatten"];

/// The maximum over height and width.
struct GlobalMax(usize);

impl Stage for GlobalMax {
    fn name(&self) -> &str {
        POOLINGS[1]
    }

    fn params(&self) -> Vec<Param> {
        Vec::new()
    }

    fn forward(&self, x: &Flow, _: &Pass) -> Result<Flow> {
        // Features are f32, for heads and losses, where a GPU keeps maps in bf16.
        let x32 = match x.hidden.dtype() {
            DType::BF16 => x.hidden.to_dtype(DType::F32)?,
            _ => x.hidden.clone(),
        };
        let (n, h, w, c) = x32.dims4()?;
        // One window over all of a map: of equal places the first has the gradient, as PyTorch's, where Candle's `max` gives it to each.
        let whole = Window {
            kernel: (h, w),
            stride: (h, w),
            padding: (0, 0),
            ceil: false,
            count_padding: false,
        };
        let y = pool::max_pool(&x32.contiguous()?, &whole)?;
        Ok(x.with(y.reshape((n, c))?))
    }

    fn output(&self) -> String {
        format!("({})", self.0)
    }
}

impl Network {
    /// Under a scope whose names are torchvision's.
    pub fn new(scope: &Scope<'_>, architecture: &Architecture) -> Result<Self> {
        let (stages, width) = match architecture {
            Architecture::Resnet { blocks, bottleneck } => {
                resnet::imagenet(scope, blocks, *bottleneck)?
            }
            Architecture::Cifar { blocks, width } => resnet::cifar(scope, *blocks, *width)?,
            Architecture::Vgg { depth, norm, dense } => vgg::build(scope, *depth, *norm, *dense)?,
            Architecture::Inception => inception::build(scope)?,
            Architecture::Shallow { norm } => shallow::build(scope, *norm)?,
            Architecture::Lenet => lenet::build(scope)?,
        };
        Ok(Network {
            stages,
            width,
            architecture: architecture.clone(),
        })
    }

    /// The same for images of one side, so that the summary shows how large each stage's output is.
    pub fn sized(scope: &Scope<'_>, architecture: &Architecture, side: usize) -> Result<Self> {
        let shapes = architecture.shapes(side).ok_or_else(|| {
            refuse(format!(
                "images of {side} pixels are too small for this network"
            ))
        })?;
        let mut network = Self::new(scope, architecture)?;
        for (stage, (name, shape)) in network.stages.iter_mut().zip(&shapes) {
            debug_assert_eq!(stage.name(), name);
            let sides: Vec<String> = shape.iter().map(usize::to_string).collect();
            *stage = Arc::new(Measured {
                stage: stage.clone(),
                output: format!("({})", sides.join(", ")),
            });
        }
        Ok(network)
    }

    /// What makes features `(batch, width)` of the last stage's output: a global average; nothing where a dense layer is last.
    pub fn pooling(&self) -> Vec<Arc<dyn Stage>> {
        self.architecture.pooling(POOLINGS[0], self.width)
    }

    /// The classifier that belongs to it, under its own name.
    pub fn classifier(&self, scope: &Scope<'_>, classes: usize) -> Result<Linear> {
        let std = 1.0 / (self.width as f64).sqrt();
        let scope = scope.sub(self.architecture.classifier());
        Linear::new(&scope, self.width, classes, std)
    }

    /// What it is.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }
}

impl Encoder for Network {
    fn stages(&self) -> &[Arc<dyn Stage>] {
        &self.stages
    }

    fn width(&self) -> usize {
        self.width
    }
}

/// Why a shape is no network.
pub(crate) fn refuse(text: String) -> Error {
    Error::msg(text)
}
