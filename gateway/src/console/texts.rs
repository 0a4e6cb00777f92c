//! Every text of the console, in every language: one row for each key.
//!
//! What the node and the gateway say by themselves (reasons, alarms, lines about transactions) is English everywhere,
//! and is marked as such for screen readers.

use super::language::Language;

/// A text in all languages. `{}` stands for a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text {
    english: &'static str,
    chinese: &'static str,
}

impl Text {
    /// The text in a language.
    pub fn of(self, language: Language) -> &'static str {
        match language {
            Language::English => self.english,
            Language::Chinese => self.chinese,
        }
    }
}

macro_rules! texts {
    ($($name:ident = $english:literal, $chinese:literal;)*) => {
        $(pub const $name: Text = Text { english: $english, chinese: $chinese };)*

        /// All of them, with their keys.
        #[cfg(test)]
        const ALL: &[(&str, Text)] = &[$((stringify!($name), $name)),*];
    };
}

texts! {
    // The frame.
    NETWORK = "Network", "网络";
    CHAINS = "Chains", "链";
    BLOCKS = "Blocks", "区块";
    TRANSACTIONS = "Transactions", "交易";
    ACCOUNTS = "Accounts", "账户";
    GOVERNANCE = "Governance", "治理";
    NODE = "Node", "节点";
    ALARMS = "Alarms", "告警";
    PARTS = "Parts of the console", "控制台导航";
    SKIP = "Skip to the content", "跳到正文";
    SEARCH = "Search", "搜索";
    SEARCH_LABEL = "Search by height, account, id, fingerprint, key or reference", "按高度、账户、编号、指纹、公钥或备注搜索";
    SEARCH_HINT = "Height, 1:7, id, reference …", "高度、1:7、编号、备注 …";
    SEARCH_FOR = "Search: {}", "搜索：{}";
    SEARCH_ABOUT = "A number is a height or an account, 1:7 is account 7 of chain 1, 64 hexadecimal digits are an id, a fingerprint or a key. Up to 12 letters are a reference, which is looked for in the newest blocks.",
        "数字表示高度或账户；1:7 表示链 1 的账户 7;64 位十六进制数表示编号、指纹或公钥。不超过 12 个字符的文字按备注在最新区块中查找。";
    LANGUAGE = "Language", "语言";
    SIGN_IN = "Sign in", "登录";
    SIGN_IN_ABOUT = "Paste a token of this gateway with the scope read. It is exchanged for a cookie of this browser, for 12 hours at most.",
        "请粘贴本网关的令牌（需要 read 权限）。令牌将换成此浏览器的 Cookie，最长有效 12 小时。";
    SIGN_OUT = "Sign out", "退出";
    TOKEN = "Token", "令牌";
    PAUSE = "Pause updates", "暂停更新";
    LOST = "The node cannot be reached.", "无法连接节点。";
    AS_SEEN_FROM = "As seen from", "观察节点";
    MORE = "More", "更多";
    NOTHING = "Nothing.", "无。";
    SHOW = "Show", "显示";
    UNKNOWN = "unknown", "未知";
    YES = "yes", "是";
    NO = "no", "否";

    // Failures.
    NOT_FOUND = "Not found", "未找到";
    NOT_KEPT = "No longer kept", "已不再保留";
    UNAVAILABLE = "Unavailable", "暂时不可用";
    NOT_ALLOWED = "Not allowed", "没有权限";
    NOT_UNDERSTOOD = "Not understood", "无法理解请求";
    FAILED = "That did not work", "操作失败";

    // The network.
    NETWORK_ABOUT = "The state of the network, as this node sees it.", "本节点所见的网络状态。";
    NETWORK_ID = "Network id", "网络编号";
    HEIGHT = "Height", "高度";
    BLOCKS_BEHIND = "Blocks behind", "落后区块";
    VALIDATORS = "Validators", "验证者";
    VALIDATORS_THERE = "Validators there", "在线验证者";
    VALIDATORS_ABOUT = "Leader: who proposed the newest block. Proposed: how many of the newest {} blocks. The figures of a link are those of this node's present connection.",
        "领导者：提出最新区块的验证者。提议：最新 {} 个区块中的数量。链路数据来自本节点的当前连接。";
    TRANSACTIONS_A_SECOND = "Transactions per second", "每秒交易数";
    BLOCKS_A_SECOND = "Blocks per second", "每秒区块数";
    WAITING = "Waiting", "等待中";
    EPOCH = "Epoch", "纪元";
    PLACE = "Place", "位置";
    NAME = "Name", "名称";
    STATE = "State", "状态";
    LEADER = "leader", "领导者";
    PROPOSED = "Proposed", "提议";
    ROUND_TRIP = "Round trip", "往返时间";
    SENT = "Sent", "已发送";
    RECEIVED = "Received", "已接收";
    LOST_PACKETS = "Lost packets", "丢包";
    QUEUED = "Queued", "排队";
    THIS_NODE = "this node", "本节点";
    CONNECTED = "connected", "已连接";
    NOT_CONNECTED = "not connected", "未连接";
    LINKS = "Links", "链路";
    FROM_TO = "From / to", "从 / 到";
    NOT_ASKED = "not known", "未知";
    LINKS_ABOUT = "Round trip from the validator of a row to that of a column. This node's row is its own; the others say theirs themselves, every five seconds while somebody looks. A cross: not connected. A question mark: this gateway has no address of that validator, or it does not answer.",
        "从行中的验证者到列中的验证者的往返时间。本节点的行来自其自身；其他行由各验证者自己提供，有人查看时每五秒更新。叉号：未连接。问号：本网关没有该验证者的地址，或它没有应答。";

    // Chains.
    CHAINS_ABOUT = "The state of each chain after the newest block.", "最新区块之后各链的情况。";
    CHAIN = "Chain", "链";
    CHAIN_OF = "Chain {}", "链 {}";
    KIND = "Kind", "类型";
    KIND_TRANSFERS = "transfers", "转账";
    KIND_ATTESTATIONS = "attestations", "存证";
    KIND_GOVERNANCE = "governance", "治理";
    ASSET = "Asset", "资产";
    ROWS = "Rows", "表行数";
    ISSUED = "Issued", "已发行";
    BURNED = "Burned", "已销毁";
    ACTIVE = "active", "运行中";
    PAUSED = "paused", "已暂停";
    CLOSED = "closed", "已关闭";
    IN_EFFECT = "in effect", "已生效";
    NOT_KNOWN_HERE = "Only the genesis tells this, and this gateway does not have the genesis.", "仅创世配置中有记载，而本网关没有该配置。";
    SINCE = "Since", "起始";
    GENESIS = "the genesis", "创世";
    ISSUER = "Issuer", "发行人";
    ISSUANCE_CAP = "Issuance cap", "发行上限";
    FREEZER = "Freezer", "冻结人";
    REGISTRAR = "Registrar", "开户人";
    ACCOUNTS_CAP = "Accounts cap", "账户上限";
    ATTESTATIONS_CAP = "Attestations cap", "存证上限";
    REKEY_WINDOW = "Lock window for a key", "换钥锁定期";
    RECOVERY_WINDOW = "Lock window for a recovery", "恢复锁定期";
    NOBODY = "nobody", "无人";
    ANYONE = "any account", "任意账户";

    // Blocks.
    BLOCKS_ABOUT = "The newest blocks that are durable on this node.", "本节点上已持久化的最新区块。";
    BLOCK_AT = "Block {}", "区块 {}";
    TIME = "Time", "时间";
    FAILURES = "Failed", "失败";
    PROPOSER = "Proposer", "提议者";
    CONSENSUS_VIEW = "View", "视图";
    DIGEST = "Digest", "摘要";
    PARENT = "Parent", "父区块";
    STATE_ROOT = "State root", "状态根";
    ACCOUNTS_ROOT = "Accounts root", "账户根";
    CERTIFICATE = "Certificate", "最终性证书";
    OWN_CERTIFICATE = "its own", "自有";
    LATER_CERTIFICATE = "a later block's certificate covers it", "由后续区块的证书覆盖";
    CHAINS_AFTER = "Chains after this block", "此区块之后的各链";
    NEWEST = "Newest", "最新";
    OLDER = "Older", "更早";
    LATER = "Later", "更晚";
    FROM_THE_BEGINNING = "From the beginning", "从头开始";

    // Transactions.
    TRANSACTIONS_ABOUT = "What happened on a chain: the newest first, or from a given place on, in the order of execution.",
        "链上发生的事件：最新的在前；或从某一位置起按执行顺序排列。";
    TRANSACTIONS_OF = "Transactions on chain {}", "链 {} 上的交易";
    TRANSACTION = "Transaction", "交易编号";
    SAYS = "Says", "内容";
    OUTCOME = "Outcome", "结果";
    BY_ITSELF = "By itself", "自动生效";
    POSITION = "Position in the block", "区块内位置";
    CODE = "Code", "代码";
    SEALED_BY = "Sealed by validator / batch", "打包验证者 / 批次";
    OPENED = "First account opened:", "首个新账户：";
    PROOF = "Proof", "证明";
    PROOF_ABOUT = "A proof convinces others without this node. The command millrace verify-proof checks it.",
        "证明可使他人无需信任本节点：可用命令 millrace verify-proof 检验。";
    CHECK = "Check it in this page", "在本页检验";
    CHECK_HOLDS = "The proof holds:", "证明成立：";
    CHECK_FAILS = "The proof does not hold, or could not be checked:", "证明不成立或无法检验：";
    CHECK_ABOUT = "Check and page both come from this gateway. For a check of your own, run millrace verify-proof.", "此检验的可信度等同于本页：两者均来自本网关。";
    TRAIL = "The way between the chains", "跨链路径";
    APPLIED = "applied", "已执行";
    SENT_ON = "sent", "已发出";
    CREDITED = "credited", "已入账";
    NOT_CREDITED = "not credited", "未入账";
    REFUNDED = "refunded", "已退回";
    SWAPPED = "swapped", "已交换";
    IN_FLIGHT = "in flight", "在途";
    CHANGED = "changed", "已变更";
    RELEASED = "released", "已解除";
    TRANSFER = "Transfer", "转账";
    LINKED = "Linked transfers", "关联转账";
    COMMAND = "Command", "指令";
    OPENING = "Opening of accounts", "开户";
    ATTEST = "Attestation", "存证";
    REVOKE = "Revocation", "撤销";
    REKEY = "New key", "更换密钥";
    PROTECT = "Safeguards", "设置保护";
    RECOVER = "Recovery", "恢复";
    PROPOSE = "Proposal of a decision", "提案";
    APPROVE = "Approval", "批准";
    RESERVE = "Reservation", "预留";
    SETTLE = "Settlement", "结算";
    OFFER = "Offer", "要约";
    TAKE = "Swap", "交换";
    KEY_VERSION = "Key version", "密钥版本";
    REFERENCE = "Reference", "备注";
    PAYER = "Payer", "付款账户";
    PAYEE = "Payee", "收款账户";
    PAYEE_CHAIN = "Payee's chain", "收款链";
    AMOUNT = "Amount", "金额";
    TOTAL = "Total", "总额";
    NONCE = "Nonce", "序号";
    EXPIRY = "Expiry height", "到期高度";
    MEMO = "Memo", "附言";
    MEMO_BYTES = "Memo (hexadecimal)", "附言（十六进制）";
    PAYMENTS = "Payments", "付款";
    OWNER = "Owner", "所有者";
    FINGERPRINT = "Fingerprint", "指纹";
    ADMINISTRATOR = "Administrator", "管理员";
    AND_MORE = "and {} more", "另有 {} 项";
    REGISTERED_ON = "Fingerprint registered on chain {}", "已在链 {} 登记的指纹";

    // Accounts.
    ACCOUNTS_ABOUT = "By number, or by public key.", "按账户号或公钥查找。";
    ACCOUNT = "Account", "账户";
    ACCOUNT_OF = "Account {} of chain {}", "账户 {}（链 {}）";
    BALANCE = "Balance", "余额";
    KEY = "Public key", "公钥";
    NEXT_NONCE = "Next nonce", "下一序号";
    HISTORY = "History", "历史";
    SAFEGUARDS = "Safeguards and changes", "保护与变更";
    RECOVERY_KEY = "Recovery key", "恢复公钥";
    GUARDIANS = "Guardians", "监护人";
    APPROVED_KEY = "Approved key", "已批准的密钥";
    PENDING_CHANGE = "Pending change", "待生效变更";
    BY_RECOVERY = "by a recovery", "通过恢复";
    CLOSING = "the account closes", "账户将关闭";
    NOT_BEFORE = "not before", "不早于";
    UNTIL = "Until", "截止";

    // Governance.
    GOVERNANCE_ABOUT = "Who decides about chains and validators, what is proposed, and what takes effect when.",
        "谁来决定链与验证者的事项、有哪些提案、何时生效。";
    NO_GOVERNANCE = "This network has no chain of the kind governance: chains and validators stay as the genesis has them.",
        "本网络没有治理链：链与验证者保持创世配置。";
    ADMINISTRATORS = "Administrators", "管理员";
    MUST_APPROVE = "Must approve", "需批准人数";
    VERSION = "Version", "版本";
    PROPOSALS = "Proposals", "提案";
    PROPOSAL = "Proposal", "提案编号";
    OPEN = "open", "进行中";
    DECIDED = "decided", "已通过";
    EXPIRED = "expired", "已过期";
    VOID = "void", "已作废";
    APPROVED_BY = "Approved by", "批准者";
    APPROVABLE_UNTIL = "Can be approved until", "批准截止";
    TAKES_EFFECT = "Takes effect", "生效";
    NEXT_EPOCH = "with the next epoch", "下一纪元";

    // The node.
    NODE_ABOUT = "The validator to which this console is connected.", "本控制台所连接的验证者。";
    ROLE = "Role", "角色";
    MEMBER = "member", "成员";
    FOLLOWS = "only follows", "仅跟随";
    VOTES = "Votes and takes transactions", "参与投票并接收交易";
    RULES = "Rules", "规则版本";
    CERTIFICATE_LEFT = "TLS certificate ends in", "TLS 证书剩余";
    DAYS = "{} days", "{} 天";
    UPTIME = "Up for", "运行时间";
    STAGES = "Stages", "处理阶段";
    STAGES_ABOUT = "How long transactions spent in each stage since the node started, and how many went through it.",
        "自节点启动以来交易在各阶段的停留时间及数量。";
    STAGE_INGRESS = "Ingress", "接收";
    STAGE_VERIFY = "Verification", "验签";
    STAGE_MEMPOOL = "Mempool", "内存池";
    STAGE_AVAILABLE = "Availability", "可用性";
    STAGE_ORDERED = "Order", "排序";
    STAGE_EXECUTED = "Execution", "执行";
    STAGE_DURABLE = "Journal", "落盘";
    STAGE_NOTIFIED = "Notice", "通知";
    P99 = "99th percentile", "第 99 百分位";
    MACHINE = "Machine", "机器";
    MEMORY_OF_PROCESS = "Memory of the process", "进程内存";
    MEMORY_AVAILABLE = "Memory available", "可用内存";
    MEMORY_TOTAL = "Memory in all", "总内存";
    THREADS = "Threads", "线程";
    DISK_FREE = "Free on the disk", "磁盘剩余";
    JOURNAL = "Journal", "日志存储";
    BACKEND = "Backend", "后端";
    ON_THE_DISK = "On the disk", "磁盘占用";
    SEGMENTS = "Segments", "段数";
    SYNCS = "Syncs", "同步次数";
    KEPT_FROM = "Kept from height", "保留起始高度";
    SCRUBBED = "Scrubbed", "巡检";
    ROUNDS = "{} rounds", "{} 轮";
    UNREADABLE = "Unreadable places", "不可读位置";
    REPAIRED = "Repaired places", "已修复位置";
    FETCHING = "It is fetching the state of height", "正在获取此高度的状态";
    REFUSED = "Refused transactions", "被拒交易";
    REASON = "Reason", "原因";
    COUNT = "Count", "数量";

    // Alarms.
    ALARMS_ABOUT = "What needs an operator. The node decides; this page shows it.", "需要运维人员关注的事项。由节点判定，本页仅作展示。";
    ALARMS_NOW = "Present alarms", "当前告警";
    ALARMS_OVER = "Alarms that are over", "历史告警";
    ALARMS_OVER_ABOUT = "Those that this gateway has seen since it was started, at most 256.", "本网关启动以来所见，最多 256 条。";
    NO_ALARMS = "No alarm.", "没有告警。";
    ALARM = "Alarm", "告警";
    SEVERITY = "Severity", "级别";
    CRITICAL = "critical", "严重";
    WARNING = "warning", "警告";
    ABOUT = "About", "对象";
    LASTED = "Lasted", "持续";
    WHAT_TO_DO = "What to do", "处理方法";
    QUORUM_LOST = "Quorum lost", "法定人数丧失";
    QUORUM_AT_EDGE = "Quorum at its edge", "法定人数临界";
    PEER_UNREACHABLE = "Validator unreachable", "验证者不可达";
    NO_COMMITS = "No commits", "无提交";
    LAGGING = "Lagging", "落后";
    CANNOT_CATCH_UP = "Cannot catch up", "无法追上";
    STREAM_LOST = "Stream lost", "流丢失";
    VOTES_FORGOTTEN = "Votes forgotten", "投票记录丢失";
    CLONED_IDENTITY = "Cloned identity", "身份被复制";
    DISK_FILLS = "Disk fills", "磁盘将满";
    MEMORY_LOW = "Memory low", "内存不足";
    DISK_ROTS = "Disk rots", "磁盘数据损坏";
    BACKEND_FALLBACK = "Backend fallback", "后端降级";
    CERTIFICATE_ENDS = "Certificate ends", "证书即将到期";
    DEVICE_OUT = "No device checks signatures", "没有设备验证签名";
    DEVICES_DECIDE = "Too many validators rely on devices", "依赖设备的验证者过多";
    SILENCED = "silenced", "已静音";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Keys that lack a language, or whose values have no place in one of them.
    fn lacking<'a>(all: &[(&'a str, Text)]) -> Vec<&'a str> {
        let is_chinese = |text: &str| text.chars().any(|letter| ('\u{4e00}'..='\u{9fff}').contains(&letter));
        let is_whole = |text: &Text| {
            let places = |text: &str| text.matches("{}").count();
            let is_english = text.english.is_ascii() || text.english.contains('…');
            let has_words = text.english.bytes().any(|letter| letter.is_ascii_alphabetic());
            is_english
                && has_words
                && is_chinese(text.chinese)
                && places(text.english) == places(text.chinese)
        };
        all.iter().filter(|(_, text)| !is_whole(text)).map(|(key, _)| *key).collect()
    }

    #[test]
    fn every_key_has_every_language() {
        assert_eq!(lacking(ALL), Vec::<&str>::new());
        let keys: BTreeSet<_> = ALL.iter().map(|(key, _)| key).collect();
        assert_eq!(keys.len(), ALL.len());
    }

    #[test]
    fn a_key_that_lacks_one_would_be_found() {
        let spoiled = [
            ("WHOLE", Text { english: "Block {}", chinese: "区块 {}" }),
            ("NO_CHINESE", Text { english: "Block", chinese: "" }),
            ("ENGLISH_TWICE", Text { english: "Block", chinese: "Block" }),
            ("NO_ENGLISH", Text { english: "", chinese: "区块" }),
            ("NO_PLACE", Text { english: "Block {}", chinese: "区块" }),
        ];
        assert_eq!(lacking(&spoiled), ["NO_CHINESE", "ENGLISH_TWICE", "NO_ENGLISH", "NO_PLACE"]);
    }
}
