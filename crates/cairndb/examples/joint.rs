//! A transaction over a key-value store, two relational stores and a database: one commit, of which the observers of each
//! store are told their part, and which a reader of any of them sees with the others.

use cairndb::{
    DatabaseOptions, Environment, Options,
    joint::{JointError, JointResult},
    kv::{self, KvOptions, KvStore},
    sql::{self, RdbConfig, RdbStore},
};

fn main() -> JointResult<()> {
    let (env, _) = Environment::in_memory(Options::default())?;
    let stock = KvStore::open(&env, "stock", KvOptions::new(kv::SecurityLevel::S1))?;
    let open = |name| RdbStore::open(&env, RdbConfig::new(name, sql::SecurityLevel::S1));
    let (shop, books) = (open("shop")?, open("books")?);
    let log = env.database("log", DatabaseOptions::default())?;
    shop.execute_sql("CREATE TABLE orders (id INTEGER PRIMARY KEY, tea TEXT)", ())?;
    books.execute_sql("CREATE TABLE income (cents INTEGER)", ())?;
    shop.attach("books", "books")?;
    stock.put("mint", 1i64)?;
    let (of_stock, of_shop) = (stock.observe(kv::SubscribeType::All)?, shop.observe()?);

    let before = env.snapshot()?.commit();
    sell(&shop, &stock, &log, "mint")?;
    assert_eq!(env.snapshot()?.commit(), before + 1);
    assert!(of_stock.try_next().is_some() && of_shop.try_next().is_some());

    // Nothing is left: neither is anything ordered, nor earned, nor logged.
    assert!(matches!(sell(&shop, &stock, &log, "mint"), Err(JointError::Sql(_))));
    assert_eq!(stock.require("mint")?.as_i64(), Some(0));
    assert_eq!(shop.query_one::<i64>("SELECT count(*) FROM orders", ())?, 1);
    assert_eq!(books.query_one::<i64>("SELECT sum(cents) FROM income", ())?, 250);
    assert_eq!(env.snapshot()?.len(&log)?, 1);
    assert!(of_stock.try_next().is_none() && of_shop.try_next().is_none());
    Ok(())
}

/// Takes one from the stock, writes the order and the income, and logs it.
fn sell(shop: &RdbStore, stock: &KvStore, log: &cairndb::Database, tea: &str) -> JointResult<()> {
    shop.write_joint(|sql, txn| {
        let order = "INSERT INTO orders(tea) VALUES (?) RETURNING id";
        let order: Vec<i64> = sql.execute_returning(order, (tea,))?;
        sql.execute("INSERT INTO books.income VALUES (250)", ())?;
        let mut stock = stock.within(txn)?;
        match stock.get(tea)?.and_then(|left| left.as_i64()) {
            Some(left) if left > 0 => stock.put(tea, left - 1)?,
            _ => return Err(sql::RdbError::NoRow.into()),
        }
        for order in order {
            txn.put(log, order.to_string().as_bytes(), tea.as_bytes())?;
        }
        Ok(())
    })
}

/// `cargo test` runs examples only as far as they have tests.
#[test]
fn the_example_does_what_it_says() {
    main().expect("each step holds");
}
