//! The optimizer's keys of `[train]`.

use crate::recipe::Keys;
use crate::strategy::Defaults;
use crate::train::OptimizerSpec;

/// The optimizer and what belongs to it.
pub(super) fn optimizer(keys: &Keys, d: &Defaults) -> OptimizerSpec {
    let family = d.family.as_str();
    let name = keys
        .string("optimizer")
        .one_of(OptimizerSpec::NAMES)
        .default(d.optimizer.name(), family)
        .help("how gradients become steps")
        .read();
    let same = name == d.optimizer.name();
    let base = if same {
        d.optimizer
    } else {
        OptimizerSpec::named(&name)
    };
    let origin = if same {
        family.to_string()
    } else {
        format!("PyTorch's for {name}")
    };
    let decay = keys
        .f64("weight_decay")
        .range(0.0..1.0)
        .default(base.weight_decay(), origin.clone())
        .help("not applied to biases and norms")
        .read();
    let momentum = |default: f64| {
        keys.f64("momentum")
            .range(0.0..1.0)
            .default(default, origin.clone())
            .help("of SGD and RMSprop")
            .read()
    };
    match base {
        OptimizerSpec::AdamW {
            beta1, beta2, eps, ..
        } => {
            let betas = keys
                .numbers("betas")
                .default(vec![beta1, beta2], origin.clone())
                .help("decay of AdamW's two means")
                .check(|b| {
                    if b.len() == 2 && b.iter().all(|v| (0.0..1.0).contains(v)) {
                        Ok(())
                    } else {
                        Err("two numbers from 0 to below 1".into())
                    }
                });
            let betas = betas.read();
            OptimizerSpec::AdamW {
                beta1: betas[0],
                beta2: betas[1],
                eps,
                weight_decay: decay,
            }
        }
        OptimizerSpec::Sgd {
            momentum: m,
            nesterov,
            ..
        } => {
            let momentum = momentum(m);
            let nesterov = keys
                .bool("nesterov")
                .default(nesterov, origin.clone())
                .help("look ahead")
                .read();
            if nesterov && momentum == 0.0 {
                keys.conflict(
                    &[
                        (keys.at("nesterov"), "this needs momentum"),
                        (keys.at("momentum"), "which is 0"),
                    ],
                    "Nesterov's look ahead needs momentum",
                );
            }
            OptimizerSpec::Sgd {
                momentum,
                nesterov,
                weight_decay: decay,
            }
        }
        OptimizerSpec::RmsProp {
            alpha,
            eps,
            momentum: m,
            ..
        } => OptimizerSpec::RmsProp {
            alpha,
            eps,
            momentum: momentum(m),
            weight_decay: decay,
        },
    }
}
