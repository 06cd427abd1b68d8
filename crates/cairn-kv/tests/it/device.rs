//! Device collaboration stores: each device has keys of its own.

use cairn_kv::{KvError, KvStore, Query, StoreEvent, StoreType, SubscribeType};

use crate::fixture::{environment, options, people, store};

fn collaboration() -> [KvStore; 2] {
    let env = environment();
    ["phone", "tablet"].map(|device| {
        let options = options().store_type(StoreType::DeviceCollaboration).device(device);
        KvStore::open(&env, "shared", options).unwrap()
    })
}

#[test]
fn a_key_belongs_to_the_device_that_put_it() {
    let [phone, tablet] = collaboration();
    phone.put("k", 1).unwrap();
    tablet.put("k", 2).unwrap();
    assert_eq!(phone.get("k").unwrap(), Some(1.into()));
    assert_eq!(tablet.get("k").unwrap(), Some(2.into()));
    phone.delete("k").unwrap();
    assert_eq!(phone.get("k").unwrap(), None);
    assert_eq!(phone.get_from("tablet", "k").unwrap(), Some(2.into()));
    assert_eq!(phone.get_from("nobody", "k").unwrap(), None);
}

#[test]
fn reads_by_device_see_the_keys_of_that_device() {
    let [phone, tablet] = collaboration();
    for (key, value) in [("a1", 1), ("a2", 2), ("b", 3)] {
        phone.put(key, value).unwrap();
        tablet.put(key, value * 10).unwrap();
    }
    let of = |device: &str| Query::new().prefix_key("a").device_id(device);
    let keys = |query: Query| -> Vec<_> {
        let entries = phone.get_entries(query).unwrap();
        entries.into_iter().map(|e| (e.key_str().into_owned(), e.value.as_i64().unwrap())).collect()
    };
    assert_eq!(keys("a".into()), [("a1".into(), 1), ("a2".into(), 2)]);
    assert_eq!(keys(of("tablet")), [("a1".into(), 10), ("a2".into(), 20)]);
    assert_eq!(keys(of("nobody")), []);
    assert_eq!(phone.get_result_size(of("tablet")).unwrap(), 2);
    assert_eq!(phone.get_result_size("").unwrap(), 3);
    let mut set = phone.get_result_set(of("tablet")).unwrap();
    assert!(set.move_to_last().unwrap());
    assert_eq!(set.entry().unwrap().unwrap().key, "a2");
    assert_eq!(set.count().unwrap(), 2);
    let mut txn = phone.start_transaction().unwrap();
    txn.put("a3", 4).unwrap();
    assert_eq!(txn.get_entries("a").unwrap().len(), 3);
    assert_eq!(txn.get("a1").unwrap(), Some(1.into()));
    txn.commit().unwrap();
    assert_eq!(phone.get_result_size("a").unwrap(), 3);
    assert_eq!(tablet.get_result_size("a").unwrap(), 2);
}

#[test]
fn queries_on_fields_see_the_keys_of_one_device() {
    let env = environment();
    let [phone, tablet] = ["phone", "tablet"].map(|device| {
        let options = options().store_type(StoreType::DeviceCollaboration).schema(people());
        KvStore::open(&env, "shared", options.device(device)).unwrap()
    });
    phone.put("p", r#"{"name":"x","age":7}"#).unwrap();
    tablet.put("t", r#"{"name":"x","age":7}"#).unwrap();
    let query = || Query::new().equal_to("$.age", 7);
    assert_eq!(phone.get_entries(query()).unwrap()[0].key, "p");
    assert_eq!(phone.get_entries(query().device_id("tablet")).unwrap()[0].key, "t");
    assert_eq!(phone.explain(query()).unwrap().index.as_deref(), Some("$.age"));
}

#[test]
fn observers_tell_changes_of_their_device_from_those_of_others() {
    let [phone, tablet] = collaboration();
    let kinds = [SubscribeType::Local, SubscribeType::Remote, SubscribeType::All];
    let observers = kinds.map(|kind| phone.observe(kind).unwrap());
    phone.put("k", 1).unwrap();
    tablet.put("k", 2).unwrap();
    let devices = observers.map(|observer| {
        let device = |event| match event {
            StoreEvent::Changed(change) => change.device.clone(),
            _ => unreachable!(),
        };
        std::iter::from_fn(|| observer.try_next()).map(device).collect::<Vec<_>>()
    });
    assert_eq!(devices, [vec!["phone"], vec!["tablet"], vec!["phone", "tablet"]]);
}

#[test]
fn a_store_whose_keys_belong_to_no_device_says_so() {
    let store = store();
    let query = Query::new().device_id("phone");
    for error in [store.get_from("phone", "k").unwrap_err(), store.get_entries(query).unwrap_err()]
    {
        assert!(matches!(error, KvError::NotSupported { .. }));
        assert_eq!(error.code(), None);
    }
}

#[test]
fn an_id_of_a_device_has_1_to_127_bytes() {
    let env = environment();
    for device in ["", &"d".repeat(128)] {
        let options = options().store_type(StoreType::DeviceCollaboration).device(device);
        let error = KvStore::open(&env, "shared", options).unwrap_err();
        assert!(matches!(error, KvError::InvalidDevice { .. }));
        assert_eq!(error.code(), Some(401));
        let [phone, _] = collaboration();
        assert_eq!(phone.get_from(device, "k").unwrap_err().code(), Some(401));
        let query = Query::new().device_id(device);
        assert_eq!(phone.get_entries(query).unwrap_err().code(), Some(401));
    }
}
