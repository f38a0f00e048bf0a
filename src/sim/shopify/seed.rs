//! What the shop has when it opens, from a TOML file like `sandbox/shop.toml`. Ages, not dates: it never grows old.

use serde::Deserialize;

/// A whole shop.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seed {
    pub(super) name: String,
    pub(super) domain: String,
    pub(super) email: String,
    /// Before the numbers of new orders.
    #[serde(default = "hash")]
    pub(super) prefix: String,
    pub(super) location: String,
    #[serde(default, rename = "customer")]
    pub(super) customers: Vec<CustomerSeed>,
    #[serde(default, rename = "product")]
    pub(super) products: Vec<ProductSeed>,
    #[serde(default, rename = "order")]
    pub(super) orders: Vec<OrderSeed>,
}

fn hash() -> String {
    "#".to_owned()
}

fn one() -> i64 {
    1
}

fn yes() -> bool {
    true
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CustomerSeed {
    pub(super) key: String,
    pub(super) first_name: String,
    #[serde(default)]
    pub(super) last_name: String,
    pub(super) phone: Option<String>,
    pub(super) email: Option<String>,
    #[serde(default)]
    pub(super) tags: Vec<String>,
    pub(super) note: Option<String>,
    pub(super) address: Option<AddressSeed>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AddressSeed {
    pub(super) first_name: Option<String>,
    pub(super) last_name: Option<String>,
    pub(super) address1: String,
    pub(super) address2: Option<String>,
    pub(super) city: String,
    pub(super) province_code: String,
    pub(super) zip: String,
    pub(super) phone: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProductSeed {
    pub(super) title: String,
    #[serde(default)]
    pub(super) description: String,
    #[serde(default = "active")]
    pub(super) status: String,
    #[serde(default)]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) tags: Vec<String>,
    #[serde(rename = "variant")]
    pub(super) variants: Vec<VariantSeed>,
}

fn active() -> String {
    "ACTIVE".to_owned()
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VariantSeed {
    #[serde(default = "default_title")]
    pub(super) title: String,
    pub(super) sku: String,
    pub(super) price: String,
    pub(super) compare_at: Option<String>,
    pub(super) barcode: Option<String>,
    #[serde(default)]
    pub(super) stock: i64,
    #[serde(default = "yes")]
    pub(super) tracked: bool,
    #[serde(default)]
    pub(super) oversell: bool,
}

fn default_title() -> String {
    "Default Title".to_owned()
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OrderSeed {
    pub(super) name: String,
    pub(super) number: u64,
    pub(super) days_ago: f64,
    /// A customer's key; absent for a guest.
    pub(super) customer: Option<String>,
    pub(super) email: Option<String>,
    pub(super) phone: Option<String>,
    /// Absent: the customer's.
    pub(super) address: Option<AddressSeed>,
    pub(super) lines: Vec<LineSeed>,
    /// `paid`, `cod`, `authorized`, or `refunded`.
    pub(super) payment: String,
    pub(super) gateway: Option<String>,
    #[serde(default)]
    pub(super) shipping: Option<String>,
    #[serde(default)]
    pub(super) tags: Vec<String>,
    pub(super) note: Option<String>,
    /// `CUSTOMER`, `FRAUD`, …
    pub(super) cancelled: Option<String>,
    #[serde(default)]
    pub(super) on_hold: bool,
    #[serde(default)]
    pub(super) packing: bool,
    #[serde(default)]
    pub(super) test: bool,
    #[serde(default, rename = "shipment")]
    pub(super) shipments: Vec<ShipmentSeed>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LineSeed {
    pub(super) sku: String,
    #[serde(default = "one")]
    pub(super) quantity: i64,
    pub(super) discount: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ShipmentSeed {
    /// A `FulfillmentDisplayStatus`.
    pub(super) status: String,
    pub(super) hours_ago: i64,
    pub(super) company: Option<String>,
    pub(super) number: Option<String>,
    pub(super) url: Option<String>,
    /// Absent: everything ordered.
    pub(super) lines: Option<Vec<LineSeed>>,
    pub(super) due_in_hours: Option<i64>,
    #[serde(default, rename = "event")]
    pub(super) events: Vec<EventSeed>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventSeed {
    pub(super) status: String,
    pub(super) hours_ago: i64,
    pub(super) city: Option<String>,
    pub(super) message: Option<String>,
}

impl Seed {
    /// Reads a seed.
    ///
    /// # Errors
    /// What is wrong with it, with the line.
    pub fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    /// The sample shop inside the binary.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn built_in() -> Result<Self, String> {
        Self::parse(include_str!("../../../sandbox/shop.toml"))
    }
}
