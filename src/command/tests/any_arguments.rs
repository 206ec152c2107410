//! Any command with any arguments: it is taken or refused, and nothing else happens.

use super::*;
use proptest::prelude::*;

/// Keys, elements, numbers and options; each as likely as it is written often.
const WORDS: &str = "\
    k h g f l z '' 0 1 -1 2 5 +5 1.5 007 4294967296 9223372036854775807 -9223372036854775808 \
    99999999999999999999 FIELDS fields KEEPTTL PX PXAT EX EXAT NX XX GT LT FNX GET IFEQ DB \
    REPLACE ABSTTL FREQ IDLETIME text:v stream ASYNC LEFT RIGHT BEFORE COUNT BULK LIMIT BY \
    STORE ALPHA DESC * h->* *->f # s x 5-1 6-0 * $ = MAXLEN MINID ACKED DELREF IDMP IDS \
    FORCE TIME RETRYCOUNT LASTID FATAL CREATE SETID MKSTREAM CREATECONSUMER DELCONSUMER \
    ENTRIESADDED IDMP-MAXSIZE z INCR (1 -inf +inf [f + - nan WEIGHTS AGGREGATE BYSCORE BYLEX \
    REV m km ANY ASC STOREDIST FROMMEMBER FROMLONLAT BYRADIUS BYBOX BYPOLYGON";

fn any_argument() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        9 => proptest::sample::select(words(WORDS)).prop_map(<[u8]>::to_vec),
        1 => proptest::collection::vec(any::<u8>(), 0..12),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 4000, failure_persistence: None, ..Default::default()
    })]

    #[test]
    fn any_arguments_are_taken_or_refused_and_never_more(
        commands in proptest::collection::vec(
            (0..ROWS.len(), proptest::collection::vec(any_argument(), 0..9), any::<u8>()), 1..12
        ),
        store in proptest::bool::weighted(0.9),
    ) {
        let mut bench = Bench::with("SET k 1; HSET h f 1 g x; RPUSH l a k h 1; SADD s k h 2");
        bench.keep("XADD x 5-1 f v; XADD x 6-0 g w; XGROUP CREATE x g 0; XCLAIM x g k 0 5-1 FORCE");
        bench.keep("ZADD z 1 f 2 h 1.5 m -inf k 3471579339700058 x");
        bench.skip("SET g v; HSET h z 1; SADD s f; ZADD z 9 s");
        bench.scope.store = store;
        for (row, args, vetoes) in &commands {
            let row = &ROWS[*row];
            let mut full: Vec<&[u8]> = vec![row.name.as_bytes()];
            full.extend(args.iter().map(Vec::as_slice));
            if matches!(row.action, Apply(_)) {
                let mut vetoes = vetoes.reverse_bits();
                bench.run_words(&[full], &mut |_| {
                    vetoes = vetoes.rotate_left(1);
                    if vetoes & 1 == 1 { Verdict::Skip } else { Verdict::Keep }
                });
            }
        }
    }
}
