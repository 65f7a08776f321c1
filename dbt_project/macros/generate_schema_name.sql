{#
  The schema a folder names is the schema it gets: roles and grants are set on exactly these names. Only under the target
  `simulation` (vs policy simulate) do rules, and the models that follow them, get schemas of their own; everything else is
  read where it is, and nothing of it is written.
#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {%- if target.name == "simulation" and node.config.meta.get("simulated") -%}
        simulation_
    {%- endif -%}
    {{ custom_schema_name | trim if custom_schema_name else target.schema }}
{%- endmacro %}
