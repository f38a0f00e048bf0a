//! What undoes a change of an address, a draft and a return that was asked for. What is to be undone stands under [`PLANNED`],
//! where the engine cannot write: the shop's own id, as it was told when the change was made.

use std::time::Duration;

use caly_actors::ports::{ActionError, PLANNED, Undo};
use serde_json::{Value, json};

use super::answer::Fault;
use super::asked::{Asked, misread, refused, unread};
use super::order::{Address, Draft, Order};
use super::telling::plain;
use super::{tools, wire};

/// Takes a draft out of the shop again.
pub(super) const DELETE_DRAFT: &str = "delete_draft_order";
/// Takes back a wish to return something.
pub(super) const CANCEL_RETURN: &str = "cancel_return";

/// How long a step takes at most; `None`: it is none of this room.
pub(in crate::actions) fn undoing_deadline(name: &str) -> Option<Duration> {
    matches!(name, DELETE_DRAFT | CANCEL_RETURN).then(|| tools::deadline("draft_order"))
}

fn step(tool: &str, mut arguments: Value, planned: Value) -> Undo {
    arguments[PLANNED] = planned;
    Undo { tool: tool.into(), arguments }
}

impl Asked<'_> {
    fn planned(&self, name: &str) -> &Value {
        &self.request.arguments[PLANNED][name]
    }

    fn id(&self) -> &str {
        self.planned("id").as_str().unwrap_or_default()
    }

    /// Where an order is to go again. Whoever has changed it since meant something by it.
    pub(super) fn former(&self, now: &Order) -> Result<Option<Address>, ActionError> {
        let Some(former) = wire::address(self.planned("former")) else { return Ok(None) };
        let left = wire::address(self.planned("left")).unwrap_or_default();
        let stands = super::address::goes_to(now, &left) || super::address::goes_to(now, &former);
        let changed = "its address was changed again since, and that stands: offer a person";
        if stands { Ok(Some(former)) } else { Err(refused(changed)) }
    }

    pub(super) fn lay_down_address(&self, order: &Order, new: &Address) {
        let Some(old) = &order.address else { return };
        let planned = json!({ "former": wire::address_input(old), "left": wire::address_input(new) });
        self.lay_down(step("change_address", json!({ "order_number": order.name }), planned));
    }

    pub(super) fn lay_down_draft(&self, draft: &Draft) {
        let planned = json!({ "id": draft.id, "name": draft.name });
        self.lay_down(step(DELETE_DRAFT, json!({}), planned));
    }

    pub(super) fn lay_down_return(&self, order: &Order, data: &Value) {
        let Some(id) = wire::asked_return(data) else { return };
        self.lay_down(step(CANCEL_RETURN, json!({}), json!({ "id": id, "name": order.name })));
    }

    fn name(&self) -> String {
        plain(self.planned("name").as_str().unwrap_or_default())
    }

    pub(super) async fn plan_undoing(&self) -> Result<Value, ActionError> {
        self.may_be_undone(self.stands().await.map_err(unread)?.as_deref())?;
        let what = if &*self.request.name == CANCEL_RETURN { "order" } else { "draft" };
        Ok(json!({ &*self.request.name: { what: self.name() } }))
    }

    /// The state of what is to be undone; `None`: it is not there any more.
    async fn stands(&self) -> Result<Option<String>, Fault> {
        let operation = if &*self.request.name == CANCEL_RETURN { wire::RETURN } else { wire::DRAFT };
        let data = self.shop.api.read_anew(&self.door, operation, &json!({ "id": self.id() }), self.soon()).await?;
        Ok(wire::status(&data))
    }

    /// Only what nobody has done anything about.
    fn may_be_undone(&self, state: Option<&str>) -> Result<(), ActionError> {
        match (&*self.request.name, state) {
            (CANCEL_RETURN, Some("REQUESTED")) | (DELETE_DRAFT, Some("OPEN" | "INVOICE_SENT")) => Ok(()),
            (CANCEL_RETURN, Some("CANCELED")) | (_, None) => Err(refused("it is undone already")),
            (CANCEL_RETURN, Some(_)) => Err(refused("the shop has looked at the return already: offer a person")),
            _ => Err(refused("it has become an order already: offer to cancel that, or a person")),
        }
    }

    fn is_undone(state: Option<&str>) -> bool {
        matches!(state, None | Some("CANCELED"))
    }

    pub(super) async fn undo(&self) -> Result<Value, ActionError> {
        let state = self.stands().await.map_err(unread)?;
        if Self::is_undone(state.as_deref()) {
            return Ok(self.undone());
        }
        self.may_be_undone(state.as_deref())?;
        let (operation, variables) = match &*self.request.name {
            CANCEL_RETURN => (wire::CANCEL_RETURN, json!({ "id": self.id() })),
            _ => (wire::DELETE_DRAFT, json!({ "input": { "id": self.id() } })),
        };
        match self.shop.api.write(&self.door, operation, &variables, self.soon()).await {
            Ok(data) if wire::is_undone(&data) => Ok(self.undone()),
            Ok(_) => Err(misread("the answer to an undoing".to_owned())),
            Err(Fault::Lost) => match self.stands().await {
                Ok(state) if Self::is_undone(state.as_deref()) => Ok(self.undone()),
                _ => Err(ActionError::Unknown("the shop did not say whether it was undone".to_owned())),
            },
            Err(fault) => Err(unread(fault)),
        }
    }

    pub(super) async fn undo_again(&self) -> Result<Value, ActionError> {
        match self.stands().await {
            Ok(state) if Self::is_undone(state.as_deref()) => Ok(self.undone()),
            Ok(_) => Err(self.not_seen()),
            Err(_) => Err(ActionError::Unknown("the shop cannot be asked whether it was done".to_owned())),
        }
    }

    fn undone(&self) -> Value {
        json!({ "undone": true, "name": self.name() })
    }
}
