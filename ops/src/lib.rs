//! Differentiable kernels that Candle lacks.
