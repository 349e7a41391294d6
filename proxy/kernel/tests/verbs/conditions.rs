//! What callers and operators learn of the store's condition.

use fairlead_kernel::Condition;
use fairlead_kernel::testing::{Moody, Over};

use crate::*;

#[tokio::test]
async fn whoever_asked_is_told_of_a_change_and_the_metrics_show_it() {
    let store = Arc::new(Over::new(Arc::new(Memory::new(1 << 30)), Moody::default()));
    let clock = Arc::new(ManualClock::at(1_000_000));
    let kernel = kernel(Arc::clone(&store), clock).await.unwrap();
    let (mut asked, mut other) = (enter(&kernel), enter(&kernel));
    assert_eq!(asked.watch_condition(), Condition::Well);
    store.manner.say(Condition::Well);
    assert_quiet(&mut asked);
    store.manner.say(Condition::Full);
    match event(&mut asked).await {
        Event::Condition(condition) => assert_eq!(condition, Condition::Full),
        other => panic!("not a condition: {other:?}"),
    }
    assert_quiet(&mut other);
    assert_eq!(kernel.condition(), Condition::Full);
    let page = kernel.metrics_page();
    assert!(page.contains("fairlead_store_condition{condition=\"full\"} 1"));
    assert!(page.contains("fairlead_store_condition{condition=\"well\"} 0"));
    drop(asked);
    store.manner.say(Condition::Well);
    assert_eq!(kernel.condition(), Condition::Well);
}
