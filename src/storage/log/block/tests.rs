use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const PLACE: Place = Place { file: 7, offset: 64 };

fn value() -> impl Strategy<Value = WriteValue> {
    let bytes = || vec(any::<u8>(), 0..40).prop_map(Arc::<[u8]>::from);
    prop_oneof![
        bytes().prop_map(WriteValue::Put),
        Just(WriteValue::Delete),
        bytes().prop_map(WriteValue::Ingest),
        Just(WriteValue::Truncate),
        Just(WriteValue::DropTree),
    ]
}

fn write() -> impl Strategy<Value = Write> {
    let parts = (any::<u64>(), vec(any::<u8>(), 0..20), value());
    parts.prop_map(|(tree, key, value)| Write { tree: TreeId(tree), key: key.into(), value })
}

/// Some commits without gaps, from a number on.
fn some_entries() -> impl Strategy<Value = Vec<Entry>> {
    let contents = vec((any::<u64>(), any::<u16>(), vec(write(), 0..5)), 1..6);
    (0..u64::MAX / 2, contents).prop_map(|(first, contents)| {
        let entry = |(seq, (timestamp, nonce, writes))| Entry { seq, txn: TxnId { timestamp, nonce }, writes };
        (first..).zip(contents).map(entry).collect()
    })
}

/// A block of these entries as it is at [`PLACE`], with what is before it.
fn written(entries: &[Entry]) -> Vec<u8> {
    let block = Encoder::new().unwrap().encode(entries).unwrap().seal(PLACE);
    assert!(block.len().is_multiple_of(ALIGNMENT));
    let mut file = vec![0; 64];
    file.extend(block);
    file
}

fn two_entries() -> Vec<Entry> {
    let put = |tree, value: &[u8]| Write {
        tree: TreeId(tree),
        key: Arc::from(&b"key"[..]),
        value: WriteValue::Put(Arc::from(value)),
    };
    let txn = TxnId { timestamp: 5, nonce: 6 };
    vec![Entry { seq: 7, txn, writes: vec![put(1, b"one"), put(2, b"two")] }, Entry { seq: 8, txn, writes: vec![] }]
}

fn read(file: &[u8], at: usize, first_seq: u64) -> Result<Block, Fault> {
    decode(&Buffer::from(file), at, first_seq)
}

proptest! {
    #[test]
    fn entries_are_read_as_they_were_written(before in some_entries()) {
        let file = written(&before);
        let block = read(&file, 64, 7).unwrap_or_else(|fault| panic!("{fault:?}"));
        prop_assert_eq!(block.bytes, file.len() - 64);
        let (first, last) = (before[0].seq, before[before.len() - 1].seq);
        let (after, next) = entries(&block.batch, first, 0).unwrap();
        prop_assert_eq!(next, last + 1);
        // Entry 0 is never later than the floor.
        prop_assert_eq!(&after[..], &before[usize::from(first == 0)..]);
        prop_assert_eq!(entries(&block.batch, first, last).unwrap(), (vec![], last + 1));
        prop_assert!(entries(&block.batch, first + 1, 0).is_err());
    }

    #[test]
    fn garbage_is_no_block(bytes in vec(any::<u8>(), 0..300), has_marker in any::<bool>(), len in 0..400_u32) {
        let mut file = Vec::new();
        if has_marker {
            file.extend(MARKER);
            file.extend(len.to_le_bytes());
        }
        file.extend(bytes);
        prop_assert!(read(&file, 0, 7).is_err());
        prop_assert_eq!(find(&Buffer::from(file), 0, 7), None);
    }

    /// Even the right checksum does not make the reader believe lengths and offsets.
    #[test]
    fn no_content_makes_the_reader_fail(changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let block = Encoder::new().unwrap().encode(&two_entries()).unwrap();
        let (mut message, crc_at) = (block.bytes, block.crc_at);
        for (at, byte) in changes {
            let at = at.index(message.len());
            message[at] = byte;
        }
        let sealed = Encoded { bytes: message, crc_at }.seal(Place { file: 7, offset: 0 });
        if let Ok(block) = read(&sealed, 0, 7) {
            let _ = entries(&block.batch, 7, 0);
        }
    }
}

#[test]
fn a_block_counts_only_in_its_place_and_as_a_whole() {
    let file = written(&two_entries());
    assert!(read(&file, 64, 7).is_ok());
    assert_eq!(read(&file, 0, 7).err(), Some(Fault::End));
    assert_eq!(read(&file, file.len(), 7).err(), Some(Fault::End));
    assert_eq!(read(&file, file.len() + 64, 7).err(), Some(Fault::End));
    assert_eq!(read(&file, 64, 8).err(), Some(Fault::Broken("its checksum is wrong")));
    assert_eq!(read(&file[64..], 0, 7).err(), Some(Fault::Broken("its checksum is wrong")));
    for len in 65..file.len() {
        assert!(read(&file[..len], 64, 7).is_err(), "{len}");
    }
    for bit in 64 * 8..file.len() * 8 {
        let mut file = file.clone();
        file[bit / 8] ^= 1 << (bit % 8);
        assert!(read(&file, 64, 7).is_err(), "{bit}");
    }
}

#[test]
fn a_block_is_found_behind_what_is_none() {
    let mut file = written(&two_entries());
    assert_eq!(find(&Buffer::from(file.as_slice()), 0, 7), Some(64));
    assert_eq!(find(&Buffer::from(file.as_slice()), 1, 7), Some(64));
    assert_eq!(find(&Buffer::from(file.as_slice()), 65, 7), None);
    assert_eq!(find(&Buffer::from(file.as_slice()), 0, 8), None);
    file[64..72].fill(0);
    assert_eq!(find(&Buffer::from(file), 0, 7), None);
}
