// Writes the dashboard down as TypeScript in Grafana's own types, for tsc to hold it against them: every key has to be known, every
// value one that its key takes. What has a default may be missing.
import fs from 'node:fs';

const [, , file, folder] = process.argv;
const { panels, ...rest } = JSON.parse(fs.readFileSync(file));
const RAW = './node_modules/@grafana/schema/dist/types/raw';
const KINDS = { stat: 'stat', timeseries: 'timeseries', 'state-timeline': 'statetimeline', table: 'table' };
const lines = [`import type * as raw from '${RAW}/dashboard/x/types.gen';`];
for (const kind of Object.values(KINDS)) lines.push(`import type * as ${kind} from '${RAW}/composable/${kind}/panelcfg/x/types.gen';`);
lines.push(`
type Plain<T> = T extends string ? \`\${T}\` : T extends number | boolean | null | undefined ? T
  : T extends (infer U)[] ? Plain<U>[] : T extends object ? { [K in keyof T]?: Plain<T[K]> } : T;
type Query = { refId: string; datasource: Plain<raw.DataSourceRef>; expr: string; legendFormat: string; instant?: boolean; range?: boolean; format?: 'time_series' | 'table' | 'heatmap'; interval?: string };
type Of<Options, Custom> = Omit<Plain<raw.Panel>, 'options' | 'fieldConfig' | 'targets'> & { options: Plain<Options>; targets: Query[];
  fieldConfig: Omit<Plain<raw.FieldConfigSource>, 'defaults'> & { defaults: Omit<Plain<raw.FieldConfig>, 'custom'> & { custom?: Plain<Custom> } } };
// What its Prometheus data source reads beside them.
type Annotation = Plain<raw.AnnotationQuery> & { expr?: string; step?: string; titleFormat?: string; textFormat?: string };
type Variable = Plain<raw.VariableModel> & { definition?: string; query?: string | { query: string; refId: string } };
type Whole = Omit<Plain<raw.Dashboard>, 'panels' | 'annotations' | 'templating'> & { annotations: { list: Annotation[] }; templating: { list: Variable[] } };
export const dashboard: Whole = ${JSON.stringify(rest)};`);
const types = { row: 'Plain<raw.RowPanel>', stat: 'Of<stat.Options, {}>' };
panels.forEach((panel, at) => {
  const kind = KINDS[panel.type];
  const type = types[panel.type] ?? (kind ? `Of<${kind}.Options, ${kind}.FieldConfig>` : `'a kind of panel that is not checked: ${panel.type}'`);
  lines.push(`export const panel${at}: ${type} = ${JSON.stringify(panel)};`);
});
fs.writeFileSync(`${folder}/dashboard.ts`, lines.join('\n'));
