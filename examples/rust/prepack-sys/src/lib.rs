//! libprepack's C interface, as its public headers declare it: constants, structs, handles and functions. What they
//! mean, who owns what and which thread may call is said there, in `prepack/*.h`; the crate `prepack` puts it into
//! types.
//!
//! The library is found when the crate is built: `PREPACK_LIB_DIR` names its folder, or else pkg-config does.
#![deny(missing_docs)]

mod bindings;

pub use bindings::*;
