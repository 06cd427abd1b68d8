//! The relational store: SQLite whose database files live in an environment.
