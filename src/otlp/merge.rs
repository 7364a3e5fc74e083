//! Joins several export requests of one signal into one.
//!
//! The request messages have one field, which repeats, and protobuf reads concatenated messages as one: so their uncompressed bytes
//! are put behind one another. Compressed bodies are never joined as they are: many receivers read only the first gzip member.
//! Of a field that the schema does not know and that does not repeat, beside the resources, the last one holds.

/// One `Export*ServiceRequest` with the items of all `bodies`, uncompressed requests of one signal, in their order.
pub fn merge(bodies: &[&[u8]]) -> Vec<u8> {
    bodies.concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::otlp::samples::{Request, cases, signal};
    use crate::otlp::skim::skim;

    proptest! {
        #![proptest_config(cases(500))]

        /// Up to five random requests of one signal.
        /// Guarantees that the generated decoder finds in the joined one the items of all, in their order.
        #[test]
        fn the_joined_request_has_the_items_of_all(signal in signal(), seeds in proptest::collection::vec(any::<u64>(), 0..5)) {
            let requests: Vec<Request> = seeds.iter().map(|seed| Request::random(signal, *seed)).collect();
            let bodies: Vec<Vec<u8>> = requests.iter().map(Request::encode).collect();
            let joined = merge(&bodies.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let items: Vec<Vec<u8>> = requests.iter().flat_map(Request::one_by_one).collect();
            prop_assert_eq!(skim(signal, &joined).unwrap().items as usize, items.len());
            prop_assert_eq!(Request::decode(signal, &joined).unwrap().one_by_one(), items);
        }
    }
}
