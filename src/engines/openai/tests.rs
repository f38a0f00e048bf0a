//! Sessions against a hand-written server.
