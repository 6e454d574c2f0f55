"""The four kinds of the group agentfleet.dev, version v1alpha1."""

from agentfleet_core.api.v1alpha1.agent_pool import AgentPool, AgentPoolSpec, Lane
from agentfleet_core.api.v1alpha1.base import API_VERSION, GROUP, VERSION, Resource
from agentfleet_core.api.v1alpha1.model_tier import ModelTier, ModelTierSpec
from agentfleet_core.api.v1alpha1.task_type import TaskType, TaskTypeSpec
from agentfleet_core.api.v1alpha1.tenant_budget import Period, TenantBudget, TenantBudgetSpec

KINDS = (AgentPool, TaskType, TenantBudget, ModelTier)

AnyResource = AgentPool | TaskType | TenantBudget | ModelTier

__all__ = [
    "API_VERSION",
    "GROUP",
    "KINDS",
    "VERSION",
    "AgentPool",
    "AgentPoolSpec",
    "AnyResource",
    "Lane",
    "ModelTier",
    "ModelTierSpec",
    "Period",
    "Resource",
    "TaskType",
    "TaskTypeSpec",
    "TenantBudget",
    "TenantBudgetSpec",
]
