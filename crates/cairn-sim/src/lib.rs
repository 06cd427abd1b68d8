//! A disk that loses power, a clock that moves when told, and one source of every choice.
#![forbid(unsafe_code)]
