//! Data directories: a backup records which file lies where, and a restore puts it there again.

use cairn_backup::{BackupOptions, Manifest, RestoreOptions, backup_to, restore_from};
use cairn_env::Environment;
use cairn_io::MemDisk;
use cairn_sim::Image;

use crate::fixture::{content, dir, fill, options, world};

#[test]
fn a_restore_keeps_each_file_in_its_directory() {
    let disk = MemDisk::new();
    let spread = options().data_directories(3);
    let (env, _) = Environment::open_in(disk.root(), world(), spread).unwrap();
    fill(&env, 0, 80);
    env.checkpoint().unwrap();
    fill(&env, 40, 80);
    let (saved, back) = (MemDisk::new(), MemDisk::new());
    backup_to(&env, &dir(&saved), &world(), &BackupOptions::default()).unwrap();
    let expected = content(&env);
    let manifest = Manifest::read(&*saved.root()).unwrap();
    assert_eq!(manifest.cut.directories, 3);
    restore_from(&dir(&saved), &dir(&back), &world(), &RestoreOptions::default()).unwrap();
    let image = Image::of(&back);
    for file in &manifest.files {
        let path = format!("data00{}/g-000001/{}", file.directory, file.name);
        assert!(image.read(&path).is_some(), "no {path}");
    }
    // Nobody has to say how many there are.
    let (env, _) = Environment::open_in(back.root(), world(), options()).unwrap();
    assert_eq!(content(&env), expected);
    fill(&env, 500, 30);
    env.close().unwrap();
    let (env, _) = Environment::open_in(back.root(), world(), options()).unwrap();
    assert_eq!(content(&env)["db"].len(), 150);
}
