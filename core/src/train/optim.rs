//! Temporary arithmetic.
use candle_core::{DType, Result, Tensor, Var};
#[derive(Clone, Copy)]
pub struct AdamW {
    pub lr: f64,
    pub beta1: f64,
    pub beta2: f64,
    pub eps: f64,
    pub weight_decay: f64,
}
#[derive(Clone, Copy)]
pub struct Sgd {
    pub lr: f64,
    pub momentum: f64,
    pub nesterov: bool,
    pub weight_decay: f64,
}
#[derive(Clone, Copy)]
pub struct RmsProp {
    pub lr: f64,
    pub alpha: f64,
    pub eps: f64,
    pub momentum: f64,
    pub weight_decay: f64,
}
#[derive(Clone, Copy)]
pub enum Rule {
    AdamW(AdamW),
    Sgd(Sgd),
    RmsProp(RmsProp),
}
#[derive(Default)]
pub struct State(Vec<Tensor>);
impl State {
    pub fn tensors(&self) -> Vec<Tensor> {
        self.0.clone()
    }
    pub fn from_tensors(t: Vec<Tensor>) -> Self {
        State(t)
    }
}
pub fn global_norm(g: &[Tensor]) -> Result<f64> {
    let mut s = 0.0;
    for t in g {
        s += t
            .to_dtype(DType::F64)?
            .sqr()?
            .sum_all()?
            .to_scalar::<f64>()?;
    }
    Ok(s.sqrt())
}
pub fn step(rule: &Rule, p: &Var, g: &Tensor, s: &mut State, t: u64, scale: f64) -> Result<()> {
    let g = (g.detach() * scale)?;
    let w = p.as_detached_tensor();
    let get = |s: &State, i: usize| -> Result<Tensor> {
        match s.0.get(i) {
            Some(t) => Ok(t.clone()),
            None => w.zeros_like(),
        }
    };
    match rule {
        Rule::AdamW(r) => {
            let m = ((get(s, 0)? * r.beta1)? + (&g * (1.0 - r.beta1))?)?;
            let v = ((get(s, 1)? * r.beta2)? + (g.sqr()? * (1.0 - r.beta2))?)?;
            let (c1, c2) = (1.0 - r.beta1.powi(t as i32), 1.0 - r.beta2.powi(t as i32));
            let d = ((v.sqrt()? / c2.sqrt())? + r.eps)?;
            let u = ((&m / d)? * (r.lr / c1))?;
            p.set(&((&w * (1.0 - r.lr * r.weight_decay))? - u)?)?;
            s.0 = vec![m, v];
        }
        Rule::Sgd(r) => {
            let g = (g + (&w * r.weight_decay)?)?;
            let step = if r.momentum == 0.0 {
                g
            } else {
                let b = match s.0.first() {
                    Some(b) => ((b * r.momentum)? + &g)?,
                    None => g.clone(),
                };
                s.0 = vec![b.clone()];
                if r.nesterov {
                    (g + (b * r.momentum)?)?
                } else {
                    b
                }
            };
            p.set(&(&w - (step * r.lr)?)?)?;
        }
        Rule::RmsProp(r) => {
            let g = (g + (&w * r.weight_decay)?)?;
            let v = ((get(s, 0)? * r.alpha)? + (g.sqr()? * (1.0 - r.alpha))?)?;
            let u = (g / (v.sqrt()? + r.eps)?)?;
            let u = if r.momentum == 0.0 {
                s.0 = vec![v];
                u
            } else {
                let b = ((get(s, 1)? * r.momentum)? + u)?;
                s.0 = vec![v, b.clone()];
                b
            };
            p.set(&(&w - (u * r.lr)?)?)?;
        }
    }
    Ok(())
}
