//! Instruction paths: which vector instructions a kernel is compiled for, chosen once at run time.
//!
//! The workspace is built for plain x86-64, so that one binary runs everywhere. The hot loops are compiled several
//! times by the `per_path!` macro, once for each [`Level`], and a [`Path`] picks one. A `Path` exists only for a level
//! that this machine has: that is what makes calling the vectorised copies sound.
//!
//! `TLKIT_CPU` (`amx`, `avx512bf16`, `avx512`, `avx2` or `plain`) caps the level. It is read once, at the first use.

use std::sync::OnceLock;

/// Levels of vector instructions, from least to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What every x86-64 (or any other) processor has; products and sums are rounded separately.
    Plain,
    /// AVX2 and FMA: eight floats at a time.
    Avx2,
    /// AVX-512 F, BW, DQ and VL: sixteen floats at a time.
    Avx512,
    /// AVX-512 with bf16 dot products.
    Avx512Bf16,
    /// And with tiles of bf16 (AMX). Large f32 products and convolutions take them too, each number as the sum of three bf16; all else is as on the level below.
    Amx,
}

impl Level {
    /// All levels, least first.
    pub const ALL: [Level; 5] = [
        Level::Plain,
        Level::Avx2,
        Level::Avx512,
        Level::Avx512Bf16,
        Level::Amx,
    ];

    /// The name used by `TLKIT_CPU`.
    pub fn name(self) -> &'static str {
        match self {
            Level::Plain => "plain",
            Level::Avx2 => "avx2",
            Level::Avx512 => "avx512",
            Level::Avx512Bf16 => "avx512bf16",
            Level::Amx => "amx",
        }
    }

    fn best_of_this_machine() -> Level {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                if is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                {
                    if is_x86_feature_detected!("avx512bf16") {
                        return match crate::matmul::amx::there() {
                            true => Level::Amx,
                            false => Level::Avx512Bf16,
                        };
                    }
                    return Level::Avx512;
                }
                return Level::Avx2;
            }
        }
        Level::Plain
    }
}

/// A level that this machine is known to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path(Level);

impl Path {
    /// The path that kernels take: the best of this machine, capped by `TLKIT_CPU`.
    ///
    /// An unknown value of `TLKIT_CPU` is ignored here; [`Path::from_environment`] reports it.
    pub fn current() -> Path {
        static CURRENT: OnceLock<Path> = OnceLock::new();
        *CURRENT
            .get_or_init(|| Path::from_environment().unwrap_or(Path(Level::best_of_this_machine())))
    }

    /// What `TLKIT_CPU` asks for, or why it cannot be understood.
    pub fn from_environment() -> Result<Path, String> {
        let best = Level::best_of_this_machine();
        match std::env::var("TLKIT_CPU") {
            Err(_) => Ok(Path(best)),
            Ok(name) if name.is_empty() => Ok(Path(best)),
            Ok(name) => match Level::ALL.into_iter().find(|level| level.name() == name) {
                Some(level) => Ok(Path(level.min(best))),
                None => Err(format!(
                    "TLKIT_CPU is {name:?}, expected amx, avx512bf16, avx512, avx2 or plain"
                )),
            },
        }
    }

    /// The path for `level`, if this machine has it.
    pub fn at(level: Level) -> Option<Path> {
        (level <= Level::best_of_this_machine()).then_some(Path(level))
    }

    /// Every path of this machine, least first; tests run their kernel on each.
    pub fn all() -> Vec<Path> {
        Level::ALL.into_iter().filter_map(Path::at).collect()
    }

    /// The level of this path.
    pub fn level(self) -> Level {
        self.0
    }
}

/// Compiles one function body for every instruction level and dispatches on a [`Path`].
///
/// The function gains a first argument of type `Path`. Inside the body the constant `FMA` says whether a fused
/// multiply-add is one instruction; [`crate::math::fma`] takes it.
macro_rules! per_path {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        $vis fn $name(path: $crate::path::Path, $($arg: $ty),*) $(-> $ret)? {
            #[allow(clippy::extra_unused_type_parameters)]
            #[inline(always)]
            fn body<const FMA: bool>($($arg: $ty),*) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
            fn avx512($($arg: $ty),*) $(-> $ret)? {
                body::<true>($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($arg: $ty),*) $(-> $ret)? {
                body::<true>($($arg),*)
            }
            match path.level() {
                // SAFETY: a `Path` of this level exists only where the features were detected.
                #[cfg(target_arch = "x86_64")]
                $crate::path::Level::Avx512 | $crate::path::Level::Avx512Bf16 | $crate::path::Level::Amx => unsafe { avx512($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::path::Level::Avx2 => unsafe { avx2($($arg),*) },
                _ => body::<false>($($arg),*),
            }
        }
    };
}
pub(crate) use per_path;
