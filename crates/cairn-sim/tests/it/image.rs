//! `Image`: a value that can be compared, damaged, and run.

use cairn_io::MemDisk;
use cairn_sim::{Image, SimDisk};

fn image() -> Image {
    Image::new().with_file("a", b"12".to_vec()).with_file("d/e/f", vec![7; 10_000])
}

#[test]
fn equal_content_has_an_equal_hash_however_it_came_about() {
    let long_way = Image::new()
        .with_file("d/e/f", vec![0; 20_000])
        .with_file("d/e/f", vec![7; 10_000])
        .with_file("a", b"1".to_vec())
        .with_edit("a", |bytes| bytes.push(b'2'));
    assert_eq!(long_way, image());
    assert_eq!(Image::of(&image().to_mem()), image());
    assert_eq!(SimDisk::from_image(&image()).image(), image());
    // The same in every run and on every machine.
    assert_eq!(format!("{:032x}", image().hash()), "63d8d51c49913c0a73a3526f344a10c5");
}

#[test]
fn every_difference_changes_the_hash() {
    let original = image();
    let others = [
        Image::new(),
        original.without("a"),
        original.without("d/e/f"),
        original.without("d"),
        original.with_file("b", Vec::new()),
        original.with_file("a", b"13".to_vec()),
        original.with_file("a", b"12\0".to_vec()),
        original.with_bit_flipped("d/e/f", 79_999),
        original.with_edit("d/e/f", |bytes| bytes.push(0)),
        original.with_swapped("a", "d/e/f"),
        original.without("a").with_file("a2", b"12".to_vec()),
    ];
    for (index, other) in others.iter().enumerate() {
        assert_ne!(*other, original, "{index}");
        assert!(others[..index].iter().all(|earlier| earlier != other), "{index}");
    }
    assert_eq!(original, image(), "the original is as it was");
}

#[test]
fn damage_is_where_it_should_be() {
    let flipped = image().with_bit_flipped("a", 9);
    assert_eq!(**flipped.read("a").unwrap(), [b'1', b'2' ^ 2]);
    let swapped = image().with_swapped("a", "d/e/f");
    assert_eq!(**swapped.read("d/e/f").unwrap(), *b"12");
    assert_eq!(swapped.read("a").unwrap().len(), 10_000);
    assert_eq!(image().without("d").files().collect::<Vec<_>>(), [("a", 2)]);
}

#[test]
fn an_image_lists_what_it_holds() {
    let image = image();
    assert_eq!(image.files().collect::<Vec<_>>(), [("a", 2), ("d/e/f", 10_000)]);
    assert_eq!(image.dirs().collect::<Vec<_>>(), ["d", "d/e"]);
    assert_eq!(image.total_bytes(), 10_002);
    assert!(image.read("d").is_none());
    assert!(format!("{image:?}").ends_with(", a: 2 B, d/e/f: 10000 B)"));
}

#[test]
fn a_disk_made_of_an_image_leaves_it_as_it_is() {
    let image = image();
    let mem = image.to_mem();
    mem.edit("a", |bytes| bytes.clear()).unwrap();
    mem.remove("d").unwrap();
    assert_eq!(mem.files(), [("a".to_owned(), 0)]);
    assert_eq!(image.total_bytes(), 10_002);
    assert_eq!(Image::of(&MemDisk::new()), Image::new());
}
