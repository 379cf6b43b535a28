//! A disk that goes bad.
