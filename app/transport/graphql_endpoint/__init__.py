"""The GraphQL endpoint: HTTP, server-sent events and websockets in front of one executor."""

from app.transport.graphql_endpoint.endpoint import GraphQLEndpoint
from app.transport.graphql_endpoint.parts import Authenticator, ContextFactory, GreetingFactory, Limits

__all__ = ["Authenticator", "ContextFactory", "GraphQLEndpoint", "GreetingFactory", "Limits"]
