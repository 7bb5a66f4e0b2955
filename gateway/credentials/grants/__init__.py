"""grants: the authorisation that one principal gave at one provider, used for that principal alone.

`grant` is one opened; `kept` seals it into the database and opens it again; `refresh` replaces its tokens, once however many ask
and on however many replicas; `held` keeps the tokens that are in use in this process; `injector` puts one into a request.
`providers` knows the providers as data, and `exchange` asks their token endpoints. A grant is made by `connecting`, for the pages
of the portal, and by `gateway grants add`; `link` says where people do that.
"""
