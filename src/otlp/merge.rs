//! Joins several export requests of one signal into one.
//!
//! The request messages have one field, which repeats, and protobuf reads concatenated messages as one: so their uncompressed bytes
//! are put behind one another. Compressed bodies are never joined as they are: many receivers read only the first gzip member.
//! Of a field that the schema does not know and that does not repeat, beside the resources, the last one holds.

/// Adds the items of `body` to those of `joined`, behind them; both are uncompressed `Export*ServiceRequest`s of one signal, and an
/// empty one has none.
pub fn merge(joined: &mut Vec<u8>, body: &[u8]) {
    joined.extend_from_slice(body);
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
            let mut joined = Vec::new();
            requests.iter().for_each(|request| merge(&mut joined, &request.encode()));
            let items: Vec<Vec<u8>> = requests.iter().flat_map(Request::one_by_one).collect();
            prop_assert_eq!(skim(signal, &joined).unwrap().items as usize, items.len());
            prop_assert_eq!(Request::decode(signal, &joined).unwrap().one_by_one(), items);
        }
    }
}
