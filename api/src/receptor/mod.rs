//! `/v1`: the HTTP surface of Diego's Receptor of November 2015, byte for byte where its clients look.

mod decode;
mod go_json;
