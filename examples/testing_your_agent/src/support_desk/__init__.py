"""A support desk: an agent that looks up orders and pays money back, with approval for large sums."""

from support_desk.agent import REFUND_LIMIT, build_desk, order_status, refund

__all__ = ["REFUND_LIMIT", "build_desk", "order_status", "refund"]
