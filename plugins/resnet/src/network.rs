//! Networks by architecture: which stages, how wide the features, what the classifier is called.

use std::sync::Arc;

use tlkit_core::nn::{Linear, Scope, Stage};
use tlkit_core::task::Encoder;
use tlkit_core::{Error, Result};

use crate::node::Node;
use crate::stage::Piece;
use crate::{inception, resnet, vgg};

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
}

impl Architecture {
    /// The names that [`Architecture::named`] knows.
    pub const NAMES: [&'static str; 14] = [
        "resnet18",
        "resnet34",
        "resnet50",
        "resnet101",
        "resnet152",
        "cifar_resnet20",
        "cifar_resnet32",
        "cifar_resnet44",
        "cifar_resnet56",
        "vgg16",
        "vgg19",
        "vgg16_bn",
        "vgg19_bn",
        "inception_v3",
    ];

    /// By torchvision's name; `cifar_` before the small ones.
    pub fn named(name: &str) -> Option<Self> {
        let resnet = |blocks: [usize; 4], bottleneck| Architecture::Resnet {
            blocks: blocks.to_vec(),
            bottleneck,
        };
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
            "cifar_resnet20" => Architecture::Cifar { blocks: 3 },
            "cifar_resnet32" => Architecture::Cifar { blocks: 5 },
            "cifar_resnet44" => Architecture::Cifar { blocks: 7 },
            "cifar_resnet56" => Architecture::Cifar { blocks: 9 },
            "vgg16" => vgg(16, false),
            "vgg19" => vgg(19, false),
            "vgg16_bn" => vgg(16, true),
            "vgg19_bn" => vgg(19, true),
            "inception_v3" => Architecture::Inception,
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
            _ => 224,
        }
    }

    /// What other libraries call its classifier.
    pub fn classifier(&self) -> &'static str {
        match self {
            Architecture::Cifar { .. } => "linear",
            Architecture::Vgg { .. } => "classifier.6",
            _ => "fc",
        }
    }
}

/// An image network up to its features. Images are `(batch, height, width, 3)`: channels last, here and in every activation.
///
/// The stages are `stem`, `layer1` .. `layer4` for a ResNet (three layers for 32 pixels), `block1` .. `block5`, `fc6`, `fc7` for
/// VGG (their dropouts between), `stem`, `mixed5`, `mixed6`, `mixed7` for Inception.
pub struct Network {
    stages: Vec<Arc<dyn Stage>>,
    width: usize,
    architecture: Architecture,
}

impl Network {
    /// Under a scope whose names are torchvision's.
    pub fn new(scope: &Scope<'_>, architecture: &Architecture) -> Result<Self> {
        let (stages, width) = match architecture {
            Architecture::Resnet { blocks, bottleneck } => {
                resnet::imagenet(scope, blocks, *bottleneck)?
            }
            Architecture::Cifar { blocks } => resnet::cifar(scope, *blocks)?,
            Architecture::Vgg { depth, norm, dense } => vgg::build(scope, *depth, *norm, *dense)?,
            Architecture::Inception => inception::build(scope)?,
        };
        Ok(Network {
            stages,
            width,
            architecture: architecture.clone(),
        })
    }

    /// What makes features `(batch, width)` of the last stage's output: a global average; nothing where a dense layer is last.
    pub fn pooling(&self) -> Vec<Arc<dyn Stage>> {
        if let Architecture::Vgg { dense: true, .. } = self.architecture {
            return Vec::new();
        }
        let node = Node::Chain(vec![Node::Adaptive(1, 1), Node::Flatten]);
        vec![Arc::new(Piece::new(
            "pool",
            node,
            format!("({})", self.width),
        ))]
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
