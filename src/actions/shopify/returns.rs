//! Asking the shop to take goods back. The shop's people agree to it or not; no money moves here.

use caly_actors::ports::ActionError;
use serde_json::{Value, json};

use super::answer::Fault;
use super::asked::{Asked, misread, refused, unheard, unread};
use super::order::{Order, Returnable, titled};
use super::telling::plain;
use super::tools::REASONS;
use super::wire;

/// Names of things that are looked for.
const ITEMS_MAX: usize = 20;
/// For the shop's people. Where the reason is another than the shop knows, it wants a note.
const NOTE: &str = "Asked for in a call to the assistant";

/// Those of the goods that are named; all if none is. Else which there are.
fn chosen(goods: &[Returnable], names: &[&str]) -> Result<Vec<Returnable>, String> {
    if names.is_empty() {
        return Ok(goods.to_vec());
    }
    let fold = |text: &str| text.to_lowercase();
    let mut found: Vec<Returnable> = Vec::new();
    for name in names.iter().take(ITEMS_MAX) {
        let fits = |one: &&Returnable| fold(&titled(&one.title, &one.variant)).contains(&fold(name));
        let before = found.len();
        for one in goods.iter().filter(fits) {
            if !found.contains(one) {
                found.push(one.clone());
            }
        }
        let known = |one: &Returnable| fold(&titled(&one.title, &one.variant)).contains(&fold(name));
        if found.len() == before && !found.iter().any(known) {
            let there: Vec<String> = goods.iter().map(said).collect();
            return Err(format!("which of them comes back? There are: {}", there.join(", ")));
        }
    }
    Ok(found)
}

fn said(one: &Returnable) -> String {
    plain(&format!("{} × {}", one.quantity, titled(&one.title, &one.variant)))
}

impl Asked<'_> {
    /// The order, and what of it comes back.
    async fn coming_back(&self) -> Result<(Order, Vec<Returnable>), ActionError> {
        let order = self.to_change().await?;
        if order.being_returned() {
            return Err(refused("a return was asked for already for this order"));
        }
        if order.cancelled.is_some() || order.sent().next().is_none() {
            return Err(refused(format!("it is {}, so there is nothing to take back", order.state())));
        }
        let variables = json!({ "id": order.id });
        let data = self.shop.api.read_anew(&self.door, wire::RETURNABLE, &variables, self.soon()).await;
        let goods = wire::returnable(&data.map_err(unread)?).map_err(misread)?;
        if goods.is_empty() {
            return Err(refused("nothing of this order can be taken back any more: offer a person"));
        }
        let names = self.request.arguments["items"].as_array().into_iter().flatten();
        let names: Vec<&str> = names.filter_map(Value::as_str).map(str::trim).filter(|name| !name.is_empty()).collect();
        let goods = chosen(&goods, &names).map_err(refused)?;
        Ok((order, goods))
    }

    pub(super) async fn plan_return(&self) -> Result<Value, ActionError> {
        let (order, goods) = self.coming_back().await?;
        Ok(json!({ "start_return": {
            "order": plain(&order.name),
            "items": goods.iter().map(said).collect::<Vec<_>>(),
            "then": "the shop looks at it and says how it goes on; the money comes after",
        } }))
    }

    pub(super) async fn start_return(&self) -> Result<Value, ActionError> {
        let (order, goods) = self.coming_back().await?;
        let ours = self.text("reason").unwrap_or("other");
        let reason = REASONS.iter().find(|(word, _)| *word == ours).map_or("OTHER", |(_, theirs)| theirs);
        let line = |one: &Returnable| json!({ "fulfillmentLineItemId": one.id, "quantity": one.quantity, "returnReason": reason, "customerNote": NOTE });
        let lines: Vec<Value> = goods.iter().map(line).collect();
        let variables = json!({ "input": { "orderId": order.id, "returnLineItems": lines } });
        match self.shop.api.write(&self.door, wire::ASK_RETURN, &variables, self.soon()).await {
            Ok(data) => {
                self.lay_down_return(&order, &data);
                Ok(asked_for(&order))
            }
            Err(Fault::Lost) => match self.settled(&order.id, Order::being_returned).await? {
                Some(order) => Ok(asked_for(&order)),
                None => Err(ActionError::Unknown("the shop did not say whether it took the return".to_owned())),
            },
            Err(fault) => Err(unread(fault)),
        }
    }

    pub(super) async fn return_again(&self) -> Result<Value, ActionError> {
        let order = self.to_change().await.map_err(unheard)?;
        match self.settled(&order.id, Order::being_returned).await? {
            Some(order) => Ok(asked_for(&order)),
            None => Err(self.not_seen()),
        }
    }
}

fn asked_for(order: &Order) -> Value {
    json!({ "return_asked_for": true, "order": plain(&order.name), "then": "the shop says how it goes on" })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn what_comes_back_is_found_by_name() {
        let one = |title: &str, variant: &str| Returnable {
            id: format!("{title}{variant}"),
            title: title.into(),
            variant: variant.into(),
            quantity: 1,
        };
        let goods = [one("Kurta", "M"), one("Kurta", "L"), one("Jhumka", "Default Title")];
        for (names, found) in [
            (vec![], Some(3)),
            (vec!["kurta"], Some(2)),
            (vec!["Kurta (L)"], Some(1)),
            (vec!["jhumka", "kurta (m)"], Some(2)),
            (vec!["kurta", "kurta (l)"], Some(2)),
            (vec!["saree"], None),
            (vec!["kurta", "saree"], None),
        ] {
            let chosen = chosen(&goods, &names);
            assert_eq!(chosen.as_ref().ok().map(Vec::len), found, "{names:?}");
            if let Err(why) = chosen {
                assert_eq!(why, "which of them comes back? There are: 1 × Kurta (M), 1 × Kurta (L), 1 × Jhumka");
            }
        }
    }
}
