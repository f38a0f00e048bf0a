-- A client's shop at Shopify, for its callers' orders.
ALTER TABLE clients ADD COLUMN shop_domain TEXT;
-- In clear, because it is sent with each request; see signature_secret.
ALTER TABLE clients ADD COLUMN shop_token TEXT;
-- In clear, because it checks the signatures of the shop's webhooks; without one they are refused.
ALTER TABLE clients ADD COLUMN shop_webhook_secret TEXT;
