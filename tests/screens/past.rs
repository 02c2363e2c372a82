//! Past.
