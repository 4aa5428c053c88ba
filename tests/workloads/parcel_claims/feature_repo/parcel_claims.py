"""The toy's entities, views and feature service."""

from datetime import timedelta

from feast import Entity, FeatureService

from feature_repo.contracted import view

claim = Entity(name="parcel_claims__claim_id", join_keys=["claim_id"])
depot = Entity(name="parcel_claims__depot", join_keys=["depot"])
claim_facts = view("parcel_claims", "claim_facts", [claim], ttl=timedelta(days=2))
depot_record = view("parcel_claims", "depot_record", [depot], ttl=timedelta(days=30))

parcel_claims_v1 = FeatureService(name="parcel_claims_v1", features=[claim_facts, depot_record])
